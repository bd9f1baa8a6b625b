"""`quantize/report.json`: what happened to every tensor and every layer, and its text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesmith.errors import GateError
from edgesmith.quantize.calibrate.distribution import Distribution
from edgesmith.quantize.calibrate.thresholds import Range, noise_of

REPORT_FILE = "report.json"
REPORT_SCHEMA_VERSION = "1.1"
_SHOWN = 4


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Writes the report; equal contents give equal bytes."""
    whole = {
        "schema_version": REPORT_SCHEMA_VERSION,
        "kind": "edgesmith-quantization",
        **report,
    }
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / REPORT_FILE).write_text(text + "\n")


def tensors_told(
    found: Mapping[str, Distribution], ranges: Mapping[str, Range]
) -> list[dict[str, Any]]:
    """Of each tensor what it held, the range of its 256 steps, and what those cost.

    `sqnr_db` is the tensor's own signal over the error of rounding and clipping it; None where
    there is no error, or nothing but zeros. `range` is None where no 8 bits can hold the values.
    """
    return [_told(name, one, ranges.get(name)) for name, one in found.items()]


def _told(name: str, one: Distribution, chosen: Range | None) -> dict[str, Any]:
    held = [value if math.isfinite(value) else str(value) for value in (one.lowest, one.highest)]
    told: dict[str, Any] = {"name": name, "seen": held, "range": None, "sqnr_db": None}
    if chosen is not None:
        signal, noise = noise_of(one, chosen)
        told["range"] = list(chosen)
        if 0 < signal < math.inf and 0 < noise < math.inf:
            told["sqnr_db"] = 10 * math.log10(signal / noise)
    if one.is_constant:
        told["remark"] = "constant over the calibration data"
    elif one.holds_masks:
        told["remark"] = "holds masks: stays in float"
    return told


def read_report(folder: Path) -> dict[str, Any]:
    """What write_report() wrote."""
    report: dict[str, Any] = json.loads((folder / REPORT_FILE).read_text())
    return report


def describe(report: Mapping[str, Any]) -> list[str]:
    """Lines on the INT8 variant: what computes in integers, what does not, the weakest places."""
    found = report["audit"].get("int8")
    if found is None:
        return []
    lines = [
        f"  at run time {found['integer']} operators in integers, {found['floating']} in float,"
        f" {found['conversions']} conversions, {found['layouts']} changes of layout"
    ]
    lines += _listed(
        [f"in float: {one['node']} ({one['operator']}): {one['reason']}"
         for one in found["in_float"]], "in float"
    )  # fmt: skip
    lines += _weakest("tensor", report["tensors"], "name")
    lines += _weakest("layer", report["weight_rounding"], "node")
    lines += [
        f"  the tensor {one['name']} is {one['remark']}"
        for one in report["tensors"]
        if one.get("remark", "").startswith("constant")
    ][:_SHOWN]
    return lines


def _listed(words: Sequence[str], what: str) -> list[str]:
    more = [f"  and {len(words) - _SHOWN} more {what}"] if len(words) > _SHOWN else []
    return [*(f"  {line}" for line in words[:_SHOWN]), *more]


def _weakest(what: str, told: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    known = [one for one in told if one["sqnr_db"] is not None]
    if not known:
        return []
    worst = min(known, key=lambda one: one["sqnr_db"])
    return [f"  weakest {what} {worst[key]}: {worst['sqnr_db']:.1f} dB of its own signal to noise"]


def require_integers(report: Mapping[str, Any], target: str) -> None:
    """Raises GateError where something computes in float that nobody asked to."""
    found = report["audit"].get("int8", {}).get("in_float", [])
    stray = [one for one in found if not one["is_meant"]]
    if not stray:
        return
    named = "; ".join(f"{one['node']} ({one['operator']}): {one['reason']}" for one in stray[:3])
    more = f"; and {len(stray) - 3} more" if len(stray) > 3 else ""
    raise GateError(
        f"{len(stray)} operators compute in float: {named}{more}",
        where=f"quantize --strict, target '{target}'",
        hint="name those under [quantize] exclude that are meant to, or leave --strict out",
    )
