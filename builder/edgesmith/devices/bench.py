"""Measures on a device and brings the report home."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edgesmith import __version__
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.harness import (
    HARNESS,
    Death,
    HarnessRequest,
    expected_limit_s,
    progress_to,
    report_of_death,
)
from edgesmith.devices.installer import Installer
from edgesmith.devices.outputs import OUTPUTS_FOLDER, DeviceOutputs, fetch_outputs
from edgesmith.devices.registry import connected
from edgesmith.devices.release import Release, open_release
from edgesmith.devices.report_files import SAMPLES_SUFFIX, keep_beside, new_report
from edgesmith.devices.scratch import scratch_bundle
from edgesmith.devices.selection import available
from edgesmith.devices.transport import (
    ANY_EXIT_CODE,
    BUSY_WAIT_S,
    DEVICE_LOCK,
    RemoteCommand,
    Transport,
)
from edgesmith.devices.user_accuracy import measure_user_accuracy, with_user_accuracy
from edgesmith.errors import DeviceError, EdgesmithError, HarnessError, IntegrityError
from edgesmith.events import EventStream
from edgesmith.files import host_file_errors
from edgesmith.model.user_metrics import UserMetrics, python_metrics
from edgesmith.process import Completed
from edgesmith.report.decision import decide
from edgesmith.report.gates import judge_gates
from edgesmith.report.outcome import measurement_failure
from edgesmith.report.schema import Report, parse_report, write_report

if TYPE_CHECKING:
    from edgesmith.project.bench_settings import BenchSettings
    from edgesmith.project.project import Device

# What the harness feeds, in every bundle.
EVALUATION_SAMPLES = "bench/samples.safetensors"
_REPORT = "report.json"
_SAMPLES = "samples.safetensors"
_FETCH_TIMEOUT_S = 300.0
_MAX_REPORT_BYTES = 256 * 1024 * 1024
_MAX_SAMPLES_BYTES = 4 * 1024 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What to measure and where the report goes.

    `settings` are the resolved settings that the report keeps, as JSON types; `id_salt` makes
    the device's id in the report another one for each project. `user_metrics` runs those metrics
    of the bundle that are the project's own functions.
    """

    bundle_folder: Path
    device: Device
    reports_folder: Path
    settings: Mapping[str, Any]
    accuracy_budget: float
    id_salt: str
    timeout_s: float | None = None
    profile: bool = False
    user_metrics: UserMetrics | None = None
    keep_outputs: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A report on disk; `samples` is None when the harness wrote none.

    `outputs` are the kept ones, by variant.
    """

    report: Report
    file: Path
    samples: Path | None
    outputs: Mapping[str, Path] = field(default_factory=dict)

    def failure(self, *, require_valid: bool = False) -> EdgesmithError | None:
        """Why the command must not end green: the harness, a gate, or a verdict; None if none."""
        return measurement_failure(self.report, require_valid=require_valid)


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """What came back from the device."""

    report: Report
    samples: Path | None
    outputs: Mapping[str, DeviceOutputs] = field(default_factory=dict)


def bench(
    request: BenchRequest, *, events: EventStream, transport: Transport | None = None
) -> Measured:
    """Measures the installed release and writes the report, also when the harness failed.

    Raises UsageError (no bundle), IntegrityError (bundle, installed release, report),
    DeviceError (unreachable, busy, another release installed), HostFileError.
    """
    device = request.device
    release = open_release(request.bundle_folder, target=device.target)
    with ExitStack() as kept:
        with (
            connected(device, events, transport) as there,
            there.exclusive(DEVICE_LOCK, wait_s=BUSY_WAIT_S),
        ):
            deadline = Deadline.after(request.timeout_s or expected_limit_s(device.bench))
            machine = there.machine(deadline)
            _require_installed(release, there, deadline)
            away = kept.enter_context(_away(request.reports_folder))
            with scratch_bundle(release, there, deadline) as scratch:
                raw = _measure(request, release, scratch, Path(away), machine, there, deadline)
        # Others may have the device while the project's own metrics are computed.
        return _keep(request, release, raw)


def _away(reports_folder: Path) -> TemporaryDirectory[str]:
    """A folder beside the reports for what comes from the device."""
    with host_file_errors(reports_folder):
        reports_folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=".bench-", dir=reports_folder)


def _wants_outputs(request: BenchRequest, release: Release) -> bool:
    return request.keep_outputs or bool(python_metrics(release.metrics))


def _require_installed(release: Release, transport: Transport, deadline: Deadline) -> None:
    """The measured program must be the installed one, byte for byte."""
    fix = f"run edgesmith flash --device {transport.device} first"
    installer = Installer(transport, release.model)
    current = next((r for r in installer.releases(deadline) if r.current), None)
    if current is None:
        what = f"nothing of '{release.model}' is installed on device '{transport.device}'"
        raise DeviceError(what, where=transport.path(release.model), hint=fix)
    if current.id != release.id:
        raise DeviceError(
            f"device '{transport.device}' has release {current.id[:16]}, not the bundle's"
            f" {release.id[:16]}",
            where=transport.path(release.model),
            hint=fix,
        )
    installer.verify(release.id, deadline)


def _warn_of_other_metrics(
    settings: Mapping[str, Any], release: Release, events: EventStream
) -> None:
    """Metrics go with the samples of the bundle: those of a later project file are not measured."""
    named = settings.get("data", {}).get("metrics")
    if named is not None and list(named) != list(release.metrics):
        events.warning(
            f"the bundle was built with the metrics {', '.join(release.metrics)}, data.metrics says"
            f" {', '.join(named)}: build and flash to measure those"
        )


def _measure(
    request: BenchRequest,
    release: Release,
    scratch: str,
    away: Path,
    machine: str,
    transport: Transport,
    deadline: Deadline,
) -> _Raw:
    settings = available(request.device.bench, release, transport.events)
    _warn_of_other_metrics(request.settings, release, transport.events)
    outputs_folder = _outputs_folder(request, release, scratch, transport, deadline)
    call = _harness_request(request, settings, scratch, outputs_folder, transport)
    dead = partial(
        report_of_death,
        release,
        settings,
        exit_code=HarnessError.exit_code,
        machine=machine,
        started_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    command = RemoteCommand(
        argv=call.argv(),
        purpose=f"{transport.device}: measuring",
        hint="measure again with -v and read what the harness says",
        accept=ANY_EXIT_CODE,
        error=HarnessError,
        separate_stderr=False,
    )
    try:
        done = transport.run(
            command, deadline=deadline, on_line=progress_to(transport.events, settings)
        )
    except HarnessError as error:
        # It did not start, or hung past the deadline: that, too, is a result to keep.
        return _Raw(report=dead(Death(message=error.what)), samples=None)
    home = Deadline.after(_FETCH_TIMEOUT_S)
    report = _fetch_report(scratch, away, done, transport, home)
    if report is None:
        return _Raw(report=dead(Death.of(done.returncode, done.output)), samples=None)
    _require_same_bundle(report, release, transport.device)
    if done.returncode != 0 and report["exit_code"] == 0:
        # The harness died after writing: what it wrote must not end green.
        report = {**report, "exit_code": HarnessError.exit_code}
    samples = _fetch_samples(scratch, away, transport, home)
    if outputs_folder is None:
        return _Raw(report=report, samples=samples)
    outputs = fetch_outputs(report, settings.variants, scratch, away, transport)
    return _Raw(report=report, samples=samples, outputs=outputs)


def _harness_request(
    request: BenchRequest,
    settings: BenchSettings,
    scratch: str,
    outputs_folder: str | None,
    transport: Transport,
) -> HarnessRequest:
    return HarnessRequest(
        program=transport.path(f"{scratch}/{HARNESS}"),
        report=transport.path(f"{scratch}/{_REPORT}"),
        samples=transport.path(f"{scratch}/{_SAMPLES}"),
        settings=settings,
        id_salt=request.id_salt,
        emulated=not transport.capabilities.real_time,
        parent_pid=os.getpid() if transport.capabilities.own_processes else None,
        profile=request.profile,
        outputs_folder=outputs_folder,
    )


def _outputs_folder(
    request: BenchRequest, release: Release, scratch: str, transport: Transport, deadline: Deadline
) -> str | None:
    """Where the harness is to leave each variant's outputs, when somebody wants them."""
    if not _wants_outputs(request, release):
        return None
    name = f"{scratch}/{OUTPUTS_FOLDER}"
    transport.make_folder(name, deadline)
    return transport.path(name)


def _require_same_bundle(report: Report, release: Release, device: str) -> None:
    measured = report["context"]["bundle"]["id"]
    # A harness that fails early may not have read its manifest.
    if measured != release.id and (measured is not None or report["exit_code"] == 0):
        raise IntegrityError(
            f"device '{device}' measured bundle {measured or 'none'}, not {release.id}",
            where=f"device '{device}', the harness's report",
            hint=f"run edgesmith flash --device {device}, then measure again",
        )


def _fetch_report(
    scratch: str, away: Path, done: Completed, transport: Transport, deadline: Deadline
) -> Report | None:
    """The harness's report, or None when it left none that can be read."""
    where = f"device '{transport.device}', the harness's report"
    name = f"{scratch}/{_REPORT}"
    if transport.exists(name, deadline):
        local = away / _REPORT
        transport.fetch(name, local, max_bytes=_MAX_REPORT_BYTES, deadline=deadline)
        text = local.read_bytes()
    else:
        text = _printed_report(done.output)
    if not text:
        return None
    try:
        return parse_report(text, where=where)
    except IntegrityError as error:
        transport.events.warning(f"{where} cannot be used: {error.what}")
        return None


def _printed_report(output: str) -> bytes:
    """The JSON that the harness prints where it cannot write its file; empty when there is none."""
    start = 0 if output.startswith("{") else output.find("\n{") + 1
    if not output[start:].startswith("{"):
        return b""
    try:
        _, end = json.JSONDecoder().raw_decode(output, start)
    except (ValueError, RecursionError):
        return b""
    return output[start:end].encode()


def _fetch_samples(
    scratch: str, away: Path, transport: Transport, deadline: Deadline
) -> Path | None:
    name = f"{scratch}/{_SAMPLES}"
    if not transport.exists(name, deadline):
        return None
    local = away / _SAMPLES
    transport.fetch(name, local, max_bytes=_MAX_SAMPLES_BYTES, deadline=deadline)
    return local


def _keep(request: BenchRequest, release: Release, raw: _Raw) -> Measured:
    """Writes samples first: a report never names samples that are not there."""
    file = new_report(request.reports_folder, request.device.name, release.id)
    report = _with_user_accuracy(request, release, raw)
    completed = completed_report(report, request, release)
    samples, outputs = None, {}
    # Without a report that names them they go again.
    with ExitStack() as beside:
        if raw.samples is not None:
            samples = file.with_name(file.stem + SAMPLES_SUFFIX)
            completed["samples"] = keep_beside(raw.samples, samples, beside)
        if request.keep_outputs:
            completed["outputs"] = {}
            for variant, one in raw.outputs.items():
                if one.file is None:
                    completed["outputs"][variant] = {"file": None, "reason": one.reason}
                    continue
                outputs[variant] = file.with_name(f"{file.stem}.outputs.{variant}.safetensors")
                completed["outputs"][variant] = keep_beside(one.file, outputs[variant], beside)
        written = write_report(file, completed)
        beside.pop_all()
    return Measured(report=written, file=file, samples=samples, outputs=outputs)


def _with_user_accuracy(request: BenchRequest, release: Release, raw: _Raw) -> Report:
    metrics = python_metrics(release.metrics)
    if request.user_metrics is None or not metrics or not raw.outputs:
        return raw.report
    samples = release.folder / release.file(EVALUATION_SAMPLES).path
    found = measure_user_accuracy(metrics, request.user_metrics, raw.outputs, samples)
    return with_user_accuracy(raw.report, found)


def completed_report(raw: Report, request: BenchRequest, release: Release) -> Report:
    """The harness's report with what only the host knows: settings, tools, decision, gates."""
    context = {
        **raw["context"],
        "device": {**raw["context"]["device"], "name": request.device.name},
        "bundle": {**raw["context"]["bundle"], "default_variant": release.default_variant},
        "settings": dict(request.settings),
        "tools": {
            "edgesmith": __version__,
            "python": platform.python_version(),
            "built_with": dict(release.provenance),
        },
    }
    report = {**raw, "context": context}
    decision = decide(report, accuracy_budget=request.accuracy_budget)
    limits = request.device.gates.model_dump()
    judged = judge_gates(report, limits, variant=decision.ship or release.default_variant)
    return {
        **report,
        "decision": decision.record(),
        "gates": [gate.record() for gate in judged],
    }
