"""Computes the user's own metrics from the outputs of models."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .failures import WorkerFailure, describe, is_out_of_memory, place_in_project
from .source import load_callable
from .tensors import Array, open_samples

_OUTPUTS, _LABELS = "outputs/", "labels"
_RETURN = "return a float, or an array with one number for each sample"
# Sums and squares of such values stay finite.
LARGEST = 1e100


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Each of `metrics` on each of `outputs` (files by name); one's failure hides no other's.

    `names` are the outputs in the model's order; what they should be stands in the files
    `samples` (labels) and `reference`.
    """
    expected = _expected(Path(request["samples"]), Path(request["reference"]), request["names"])
    project = Path(request["project"])
    return {
        "found": {
            metric: {
                name: _attempt(metric, project, Path(path), request["names"], expected)
                for name, path in request["outputs"].items()
            }
            for metric in request["metrics"]
        }
    }


def _expected(samples: Path, reference: Path, names: list[str]) -> Any:
    """The labels, or without any the reference outputs."""
    stored = open_samples(samples)
    if _LABELS in stored:
        return _read_only(stored[_LABELS])
    return _outputs(reference, names)


def _outputs(path: Path, names: list[str]) -> dict[str, Array]:
    stored = open_samples(path)
    return {name: _read_only(stored[_OUTPUTS + name]) for name in names}


def _read_only(array: Array) -> Array:
    """A plain array whose writing raises: every metric sees what the model gave."""
    plain = array.view(np.ndarray)
    plain.flags.writeable = False
    return plain


def _attempt(
    metric: str, project: Path, path: Path, names: list[str], expected: Any
) -> dict[str, Any]:
    try:
        function = load_callable(metric, key="data.metrics")
        outputs = _outputs(path, names)
        count = len(next(iter(outputs.values())))
        given = dict(expected) if isinstance(expected, dict) else expected
        return _result(metric, function, function(outputs, given), count)
    except WorkerFailure as failure:
        return _failed(failure.what, failure.where, failure.hint)
    except ModuleNotFoundError:
        raise
    # Ctrl-C is for the parent, which ends this process: what arrives here was raised by user code.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if is_out_of_memory(error):
            raise
        place = place_in_project(error, project) or f"data.metrics = {metric!r}"
        what = f"the metric '{metric}' fails: {describe(error)}"
        return _failed(what, place, "correct the code there; it gets (outputs, expected)")


def _result(metric: str, function: Callable[..., Any], found: Any, count: int) -> dict[str, Any]:
    """A number, or one for each sample; raises WorkerFailure for anything else."""

    def bad(what: str, hint: str = _RETURN) -> WorkerFailure:
        return WorkerFailure(
            f"the metric '{metric}' returned {what}", where=_place(metric, function), hint=hint
        )

    kinds = (numbers.Real, np.generic, np.ndarray)
    if not isinstance(found, kinds) or isinstance(found, np.ma.MaskedArray):
        raise bad(f"a {type(found).__name__}")
    array = np.asarray(found)
    if array.dtype.kind not in "fiub":
        raise bad(f"elements of type {array.dtype}")
    if array.shape not in ((), (count,)):
        raise bad(f"an array of shape {list(array.shape)}; there are {count} samples")
    values = array.astype(np.float64)
    broken = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if broken.size and array.ndim == 0:
        raise bad(f"{values}", f"return a finite number of at most {LARGEST:g}")
    if broken.size:
        more = f" and {broken.size - 1} more" if broken.size > 1 else ""
        raise bad(
            f"{values[broken[0]]} for sample {broken[0]}{more}",
            f"return a finite number of at most {LARGEST:g} for every sample",
        )
    return {"values": values.tolist(), "samples": count, "failure": None}


def _place(metric: str, function: Callable[..., Any]) -> str:
    """`FILE:LINE in FUNCTION`, where there is a line."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    file, _, name = metric.rpartition(":")
    return f"{file}:{code.co_firstlineno} in {name}" if code is not None else metric


def _failed(what: str, where: str, hint: str) -> dict[str, Any]:
    return {"values": None, "samples": 0, "failure": {"what": what, "where": where, "hint": hint}}
