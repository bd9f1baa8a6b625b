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

    A failed harness or run comes before any gate: what was not measured keeps no limit.
    `require_valid` also asks that every run's verdict is valid.
    """
    harmless = cleaned(report)
    failed = _harness_error(harmless)
    if failed is not None:
        return failed
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
