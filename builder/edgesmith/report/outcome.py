"""Whether a measurement ends green: the harness first, then the gates, then the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgesmith.errors import EdgesmithError, HarnessError, UndecidedError, error_class_for
from edgesmith.report.gates import gate_error, gates_of
from edgesmith.report.plain import cleaned
from edgesmith.report.views import runs_of


def measurement_failure(
    report: Mapping[str, Any], *, require_valid: bool = False
) -> EdgesmithError | None:
    """The error that a command must end with, or None.

    A failed harness, run or metric comes before any gate: what was not measured keeps no limit.
    `require_valid` also asks that every run's verdict is valid.
    """
    harmless = cleaned(report)
    failed = _harness_error(harmless)
    if failed is not None:
        return failed
    unmeasured = _outputs_error(harmless) or _metric_error(harmless)
    if unmeasured is not None:
        return unmeasured
    gate = gate_error(gates_of(harmless))
    if gate is not None or not require_valid:
        return gate
    invalid = [run for run in runs_of(harmless) if run.verdict != "valid"]
    if not invalid:
        return None
    return UndecidedError(
        "not every measurement is valid: " + ", ".join(f"{r.key}: {r.verdict}" for r in invalid),
        hint="see the conditions in the report and their advice, then measure again",
    )


def _harness_error(report: Mapping[str, Any]) -> EdgesmithError | None:
    failed = [run for run in runs_of(report) if run.verdict == "failed"]
    code = int(report["exit_code"])
    if code == 0 and not failed and report["error"] is None:
        return None
    error = report["error"]
    found = [error["message"]] if error else [f"{run.variant}: {run.error}" for run in failed]
    return (error_class_for(code) if code else HarnessError)(
        "the measurement failed: " + ("; ".join(found) or f"exit code {code}"),
        hint="the report says more; measure again with -v to see what the harness says",
    )


def _outputs_error(report: Mapping[str, Any]) -> EdgesmithError | None:
    """Outputs that were to be kept and did not come."""
    missing = {k: v["reason"] for k, v in report.get("outputs", {}).items() if v["file"] is None}
    if not missing:
        return None
    told = "; ".join(f"{variant}: {reason}" for variant, reason in missing.items())
    return HarnessError(
        f"outputs to be kept did not come back from the device: {told}",
        hint="mend that and measure again, or leave out --keep-outputs",
    )


def _metric_error(report: Mapping[str, Any]) -> EdgesmithError | None:
    """A metric of the project's own that gave no value."""
    errors = report.get("metric_errors", ())
    if not errors:
        return None
    told = dict.fromkeys(f"{one['message']}" for one in errors)
    first = min(errors, key=lambda one: int(one["code"]))
    return error_class_for(int(first["code"]))(
        "; ".join(told), where=first["where"], hint=first["hint"]
    )
