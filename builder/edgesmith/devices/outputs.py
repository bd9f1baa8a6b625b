"""The outputs that variants gave on a device, brought here and looked at before they are used."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.data.samples import OUTPUTS, Samples
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import Transport
from edgesmith.errors import EdgesmithError, IntegrityError
from edgesmith.worker.tensors import open_samples

OUTPUTS_FOLDER = "outputs"
_MAX_BYTES = 64 * 1024 * 1024 * 1024
# As long as that takes at 5 MB/s.
_TIMEOUT_S = 4 * 3600.0


@dataclass(frozen=True, kw_only=True)
class DeviceOutputs:
    """A variant's outputs; `file` is None with a `reason` where there are none.

    `run` is the key of the run that gave them, `names` the outputs in the model's order.
    """

    file: Path | None
    run: str | None = None
    names: tuple[str, ...] = ()
    reason: str = ""


def fetch_outputs(
    report: Mapping[str, Any],
    variants: Collection[str],
    scratch: str,
    away: Path,
    transport: Transport,
) -> dict[str, DeviceOutputs]:
    """By variant, what the harness wrote below `scratch`; a failure is a reason.

    The report tells which run of a variant wrote its outputs, or why one did not. Raises
    IntegrityError when it has others than `variants`, which name files here.
    """
    found: dict[str, DeviceOutputs] = {}
    deadline = Deadline.after(_TIMEOUT_S)
    for run in report["runs"]:
        variant = str(run["requested"]["variant"])
        if variant not in variants:
            raise IntegrityError(
                f"device '{transport.device}' measured the variant {variant!r}, which was not asked"
                " for",
                where=f"device '{transport.device}', the harness's report",
                hint=f"run edgesmith flash --device {transport.device}, then measure again",
            )
        told = run.get("outputs")
        if variant in found and (found[variant].file is not None or told is None):
            continue
        if told is None:
            failed = run["error"]["message"] if run["error"] else "the harness wrote none"
            found[variant] = DeviceOutputs(file=None, reason=failed)
        elif told["file"] is None:
            found[variant] = DeviceOutputs(
                file=None, reason=told.get("reason", "the harness wrote none")
            )
        else:
            name = f"{scratch}/{OUTPUTS_FOLDER}/{variant}.safetensors"
            local = away / f"{OUTPUTS_FOLDER}-{len(found)}.safetensors"
            found[variant] = _fetched(name, local, run["key"], transport, deadline)
    return found


def _fetched(
    name: str, local: Path, run: str, transport: Transport, deadline: Deadline
) -> DeviceOutputs:
    try:
        room = shutil.disk_usage(local.parent).free
        transport.fetch(name, local, max_bytes=min(_MAX_BYTES, room), deadline=deadline)
        return DeviceOutputs(file=local, run=run, names=_checked_names(local))
    except EdgesmithError as error:
        transport.events.warning(error.render().removeprefix("error: "))
        return DeviceOutputs(file=None, reason=error.what)


def _checked_names(path: Path) -> tuple[str, ...]:
    """The outputs in the model's order; raises EdgesmithError for what is no file of outputs."""
    samples = Samples(path)
    names = samples.names(OUTPUTS)
    try:
        tensors = open_samples(path) if names else {}
    except KeyError as error:
        raise _not_outputs(f"an output has elements of type {error}", path) from error
    if not names or any(len(t.shape) < 1 or len(t) != samples.count for t in tensors.values()):
        raise _not_outputs(f"it holds no outputs of {samples.count} samples", path)
    return tuple(name.removeprefix(OUTPUTS) for name in tensors if name.startswith(OUTPUTS))


def _not_outputs(what: str, path: Path) -> IntegrityError:
    return IntegrityError(
        f"the device's outputs cannot be used: {what}",
        where=path.name,
        hint="measure again; if it stays, build and flash the bundle anew",
    )
