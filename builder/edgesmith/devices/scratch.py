"""The folder on a device where a bundle lies complete while it is measured."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.release import Release
from edgesmith.devices.transport import FileToSend, RemoteCommand, Transport
from edgesmith.errors import DeviceError
from edgesmith.events import Progress

_PREFIX = "scratch-"
_REMOVE_TIMEOUT_S = 60.0


@contextmanager
def scratch_bundle(release: Release, transport: Transport, deadline: Deadline) -> Iterator[str]:
    """The name of a folder with the installed release and the bundle's bench files.

    It is removed at the end, however that comes. The caller holds the device's lock, so any
    other scratch folder is left over from a run that was killed, and goes too.
    """
    _remove_leftovers(release.model, transport, deadline)
    name = f"{release.model}/{_PREFIX}{release.id[:16]}-{secrets.token_hex(4)}"
    try:
        _copy_release(release, name, transport, deadline)
        _send_bench_files(release, name, transport, deadline)
        yield name
    finally:
        # A deadline of its own: the one before may be why the run ended.
        transport.remove(name, Deadline.after(_REMOVE_TIMEOUT_S))


def _remove_leftovers(model: str, transport: Transport, deadline: Deadline) -> None:
    listing = transport.list_folder(model, deadline)
    for one in listing:
        if one.startswith(_PREFIX):
            transport.events.info(f"removing {one} of a run that was killed")
            transport.remove(f"{model}/{one}", deadline)


def _copy_release(release: Release, name: str, transport: Transport, deadline: Deadline) -> None:
    """Links the installed files where the file system can, so that little space is used."""
    source = transport.path(f"{release.model}/releases/{release.id}")
    linked = _copy(source, name, "-al", transport, deadline)
    if linked:
        return
    transport.remove(name, deadline)
    transport.events.info("the device's file system has no hard links: copying the release")
    if not _copy(source, name, "-a", transport, deadline):
        raise DeviceError(
            f"device '{transport.device}' cannot copy the installed release",
            where=transport.path(name),
            hint="free some space there and measure again",
        )


def _copy(source: str, name: str, option: str, transport: Transport, deadline: Deadline) -> bool:
    command = RemoteCommand(
        argv=["cp", option, source, transport.path(name)],
        purpose=f"{transport.device}: copying the installed release",
        hint="check the device's file system",
        accept=(0, 1),
    )
    return transport.run(command, deadline=deadline).returncode == 0


def _send_bench_files(
    release: Release, name: str, transport: Transport, deadline: Deadline
) -> None:
    files = [
        FileToSend(
            local=release.folder / file.path,
            name=f"{name}/{file.path}",
            sha256=file.sha256,
            mode=file.mode,
        )
        for file in release.bench_files
    ]

    def on_file(index: int) -> None:
        transport.events.emit(
            Progress(stage="bench", done=index, total=len(files), unit="files sent")
        )

    transport.put_all(files, deadline=deadline, on_file=on_file)
