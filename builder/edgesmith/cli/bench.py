"""edgesmith bench: measures the installed release on devices and brings the reports back."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from edgesmith.cli.flash import DeviceResult, run_on_devices
from edgesmith.cli.report import style_of
from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_device_option

if TYPE_CHECKING:
    from edgesmith.devices.bench import Measured
    from edgesmith.project.project import Device, Project

EXAMPLES = (
    "edgesmith bench",
    "EDGESMITH_BENCH__MIN_SECONDS=1 edgesmith bench --device desk",
    "edgesmith bench --profile",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_device_option(parser)
    add(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="end the harness after so long (default: far more than the settings ask for)",
    )
    add(
        "--profile",
        action="store_true",
        help="also time the operators of each variant, in a session of its own",
    )
    add(
        "--keep-outputs",
        action="store_true",
        help="keep the outputs that each variant gave on the device, beside the report",
    )
    add(
        "--require-valid",
        action="store_true",
        help="exit with 9 unless every run's verdict is valid",
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    if session.dry_run:
        names = session.project().device_names(arguments.device)
        return run_on_devices(names, lambda name: _plan(session, name), session)
    return run_devices(arguments, session)


def run_devices(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Measures `arguments.device`; the other arguments of this verb may be absent."""
    timeout_s = getattr(arguments, "timeout", None)
    require_valid = getattr(arguments, "require_valid", False)
    profile = getattr(arguments, "profile", False)
    keep_outputs = getattr(arguments, "keep_outputs", False)

    def measure(name: str) -> DeviceResult:
        measured = bench_device(
            session, name, timeout_s=timeout_s, profile=profile, keep_outputs=keep_outputs
        )
        return _shown(session, measured, require_valid=require_valid)

    return run_on_devices(session.project().device_names(arguments.device), measure, session)


def bench_device(
    session: Session,
    device_name: str,
    *,
    timeout_s: float | None = None,
    profile: bool = False,
    keep_outputs: bool = False,
) -> Measured:
    """Measures one device and writes its report; raises as `devices.bench.bench` does.

    A harness that failed does not raise: the report says it, and `Measured.failure()` too.
    """
    from edgesmith.devices.bench import BenchRequest, bench
    from edgesmith.model.user_metrics import UserMetrics, require_metrics

    project = session.project()
    require_metrics(project)
    device = project.device(device_name)
    target = project.target(device.target)
    request = BenchRequest(
        bundle_folder=project.stage_folder("bundle", device.target),
        device=device,
        reports_folder=project.reports_folder,
        settings=resolved_settings(project, device),
        accuracy_budget=target.quantize.accuracy_budget,
        id_salt=f"edgesmith {project.settings.model.name}",
        timeout_s=timeout_s,
        profile=profile,
        user_metrics=UserMetrics(project=project, events=session.events),
        keep_outputs=keep_outputs,
    )
    return bench(request, events=session.events)


def resolved_settings(project: Project, device: Device) -> dict[str, Any]:
    """What holds for this device after all layers, as the report keeps it.

    Layers outside the project are named without their folder: a report travels.
    """
    target = project.target(device.target)
    settings = project.settings.model_dump(mode="json", by_alias=True)
    return {
        "layers": [layer.rpartition("/")[2] for layer in project.layers],
        "model": settings["model"],
        "data": settings["data"],
        "quantize": target.quantize.model_dump(mode="json"),
        "bench": device.bench.model_dump(mode="json"),
        "gates": device.gates.model_dump(mode="json"),
        "target": {
            "name": target.name,
            "platform": target.platform.name,
            "cpu": target.cpu,
            "toolchain": target.toolchain.name,
        },
        "device": {"name": device.name, "transport": device.transport},
    }


def _shown(session: Session, measured: Measured, *, require_valid: bool) -> DeviceResult:
    from edgesmith.report.text import render_report

    failure = measured.failure(require_valid=require_valid)
    if failure is not None:
        session.events.warning(failure.render().removeprefix("error: "))
    return DeviceResult(
        data={
            "file": str(measured.file),
            "samples": str(measured.samples) if measured.samples else None,
            "outputs": {variant: str(path) for variant, path in measured.outputs.items()},
            "report": measured.report,
        },
        text=render_report(measured.report, style_of(session), file=str(measured.file)),
        exit_code=failure.exit_code if failure is not None else 0,
    )


def _plan(session: Session, name: str) -> DeviceResult:
    from edgesmith.devices.harness import run_count
    from edgesmith.devices.release import open_release
    from edgesmith.devices.selection import available
    from edgesmith.report.numbers import counted

    project = session.project()
    device = project.device(name)
    folder = project.stage_folder("bundle", device.target)
    built, bench = folder.exists(), device.bench
    if built:
        release = open_release(folder, target=device.target)
        bench = available(bench, release, session.events)
    runs = run_count(bench)
    text = (
        f"{name}: would measure {', '.join(bench.variants)}: {counted(runs, 'run')},"
        f" {bench.processes} process{'' if bench.processes == 1 else 'es'} each, at least"
        f" {bench.min_seconds:g} s in each process;"
        f" the report would go to {project.reports_folder}"
    )
    if not built:
        text += f"; it is not built yet: edgesmith build --target {device.target}"
    data = {
        "would": "bench",
        "built": built,
        "settings": resolved_settings(project, device),
        "reports": str(project.reports_folder),
    }
    return DeviceResult(data=data, text=text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0")
    return value
