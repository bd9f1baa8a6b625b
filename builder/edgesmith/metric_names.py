"""The names of `[data] metrics`: those that edgesmith computes, and functions of the project."""

from __future__ import annotations

import difflib
from typing import Literal, get_args

BuiltInMetric = Literal["top1", "top5", "cosine", "sqnr_db", "max_abs_error"]
BUILT_IN_METRICS: tuple[str, ...] = get_args(BuiltInMetric)
# The JSON schema's form of a function of the project.
PYTHON_METRIC_PATTERN = r"^[^:/][^:]*\.py:[A-Za-z_]\w*$"


def is_python_metric(name: str) -> bool:
    """Whether it is a `FILE.py:function` of the project."""
    return ".py:" in name


def metric_file(name: str) -> str:
    """The file of a Python metric."""
    return name.rpartition(":")[0]


def metric_name(value: str) -> str:
    """`value` when it may stand under `[data] metrics`; raises ValueError that says what may."""
    file, colon, function = value.rpartition(":")
    if value in BUILT_IN_METRICS:
        return value
    if colon and file.endswith(".py") and function.isidentifier() and value.isprintable():
        if file.startswith("/"):
            # The name goes into bundles and reports, which hold no path of this machine.
            raise ValueError("a file that is named relative to the project file")
        if ":" not in file:
            return value
    raise ValueError(
        f"{', '.join(BUILT_IN_METRICS)}, or a function as FILE.py:function{_guess(value)}"
    )


def _guess(value: str) -> str:
    if value.endswith(".py"):
        return f"; name the function, too, such as '{value}:accuracy'"
    near = difflib.get_close_matches(value, BUILT_IN_METRICS, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
