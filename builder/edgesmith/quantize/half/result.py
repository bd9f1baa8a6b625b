"""What became of a model in FP16, and how the quantization report tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class KeptInFloat:
    """One node left in FP32; without a node, why the whole model is as it was."""

    node: str
    operator: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OutputMatch:
    """How an output agrees with FP32's over the calibration samples.

    `sqnr_db` is None for integers, `equal`, the share of equal values, for floats; both are None
    where a number of values that depends on the data came out different.
    """

    output: str
    sqnr_db: float | None
    equal: float | None


@dataclass(frozen=True, kw_only=True)
class HalfModel:
    """`converted` counts the nodes that compute in FP16.

    The file `rounded` is FP32 and holds what FP16 holds; it is there as long as its folder.
    """

    path: Path
    rounded: Path
    kept: tuple[KeptInFloat, ...]
    converted: int
    outputs: tuple[OutputMatch, ...]


_SHOWN = 3


def half_words(model: HalfModel) -> str:
    """How many nodes are in FP16, and why the first of the others are not, in one line."""
    left = [one for one in model.kept if one.node]
    text = f"FP16: {model.converted} nodes, {len(left)} stay in FP32"
    named = [f"{one.node} ({one.reason})" for one in left[:_SHOWN]]
    named += [one.reason for one in model.kept if not one.node]
    if len(left) > _SHOWN:
        named.append(f"and {len(left) - _SHOWN} more, named in the quantize stage's report.json")
    return f"{text}: {'; '.join(named)}" if named else text


def half_report(model: HalfModel) -> dict[str, Any]:
    """The same in JSON types, for the quantization report."""
    return {
        "converted": model.converted,
        "kept_in_float": len([one for one in model.kept if one.node]),
        "kept": [
            {"node": one.node, "operator": one.operator, "reason": one.reason} for one in model.kept
        ],
        "outputs": [
            {"output": one.output, "sqnr_db": one.sqnr_db, "equal": one.equal}
            for one in model.outputs
        ],
    }
