"""Installs a release on a device: the host sends files, the device's installer decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.installer import InstalledRelease, Installer
from edgesmith.devices.preflight import require_runnable
from edgesmith.devices.probe import probe
from edgesmith.devices.registry import connected
from edgesmith.devices.release import INSTALLER, MANIFEST, BundleFile, Release, open_release
from edgesmith.devices.transport import BUSY_WAIT_S, DEVICE_LOCK, FileToSend, Transport
from edgesmith.errors import DeviceError, IntegrityError
from edgesmith.events import EventStream, Progress

if TYPE_CHECKING:
    from edgesmith.project.project import Device

# Connecting, hashing, the self-test; sending comes on top, at the slowest link worth waiting for.
FLASH_TIMEOUT_S = 900.0
_SLOWEST_BYTES_PER_S = 500_000
# Incoming files and the release stand side by side until the switch; file systems need slack.
_SPACE_FACTOR = 2
_SPACE_MARGIN_BYTES = 8 * 1024 * 1024

# What `uname -m` says, for each machine that an ELF header can name.
MACHINES = {
    "EM_X86_64": ("x86_64", "amd64"),
    "EM_AARCH64": ("aarch64", "arm64"),
    "EM_ARM": ("armv7l", "armv8l"),
}


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A release that is current on a device.

    `previous_id` is what `--rollback` would bring back; sent and reused bytes are those of the
    release's files. `self_test` is "passed", or "skipped" where it was forbidden.
    """

    device: str
    root: str
    bundle_id: str
    version: str
    previous_id: str | None
    sent_bytes: int
    reused_bytes: int
    self_test: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FlashOptions:
    """What the user allows: skipping the self-test, an older version than the current one.

    `timeout_s` is for all of it; None: by the release's size.
    """

    self_test: bool = True
    allow_downgrade: bool = False
    timeout_s: float | None = None

    def installer_options(self) -> tuple[str, ...]:
        flags = {"--no-self-test": not self.self_test, "--allow-downgrade": self.allow_downgrade}
        return tuple(flag for flag, given in flags.items() if given)


def flash(
    bundle_folder: Path,
    device: Device,
    *,
    events: EventStream,
    options: FlashOptions | None = None,
    transport: Transport | None = None,
) -> Installation:
    """Makes the bundle's release the current one on `device`.

    Raises UsageError (no bundle), IntegrityError (bundle), DeviceError (unreachable, refused,
    full, wrong architecture), HarnessError (self-test failed: the old release stays current).
    """
    options = options or FlashOptions()
    release = open_release(bundle_folder, target=device.target)
    with (
        connected(device, events, transport) as there,
        there.exclusive(DEVICE_LOCK, wait_s=BUSY_WAIT_S),
    ):
        return _flash(release, there, options)


def _flash(release: Release, transport: Transport, options: FlashOptions) -> Installation:
    installer = Installer(transport, release.model)
    by_size_s = FLASH_TIMEOUT_S + release.release_bytes / _SLOWEST_BYTES_PER_S
    deadline = Deadline.after(options.timeout_s or by_size_s)
    facts = probe(transport, release.requires, deadline)
    if not facts.shell:
        # Without a shell to look at, the kernel's word has to do.
        require_machine(release.requires, transport.machine(deadline), transport.device)
    require_runnable(release.requires, facts, transport.device)
    if not installer.is_there(deadline):
        # The device can't say yet what it needs: everything.
        _require_space(release.release_bytes, transport.room(deadline).free_bytes, transport)
    _send_manifest(release, transport, installer, deadline)
    sent_bytes = _send_files(release, transport, installer, deadline)
    installer.install(release.id, options.installer_options(), deadline)
    previous = _require_current(release, installer.listed(deadline), transport.device)
    return Installation(
        device=transport.device,
        root=transport.root,
        bundle_id=release.id,
        version=release.version,
        previous_id=previous,
        sent_bytes=sent_bytes,
        reused_bytes=release.release_bytes - sent_bytes,
        self_test="passed" if options.self_test else "skipped",
    )


def roll_back(
    model: str, device: Device, *, events: EventStream, transport: Transport | None = None
) -> tuple[InstalledRelease, ...]:
    """Makes the release before the current one; returns what is installed then."""
    with connected(device, events, transport) as there:
        deadline = Deadline.after(FLASH_TIMEOUT_S)
        installer = Installer(there, model)
        if not installer.is_there(deadline):
            raise DeviceError(
                f"nothing of model '{model}' is installed on device '{device.name}'",
                where=there.path(model),
                hint=f"install a release first: edgesmith flash --device {device.name}",
            )
        with there.exclusive(DEVICE_LOCK, wait_s=BUSY_WAIT_S):
            installer.rollback(deadline)
        return installer.releases(deadline)


def installed_releases(
    model: str,
    device: Device,
    *,
    events: EventStream,
    timeout_s: float = 30.0,
    transport: Transport | None = None,
) -> tuple[InstalledRelease, ...]:
    """What is installed on the device, the current release first; changes nothing there."""
    with connected(device, events, transport) as there:
        return Installer(there, model).releases(Deadline.after(timeout_s))


def require_machine(requires: Mapping[str, Any], machine: str, device: str) -> None:
    """Raises DeviceError when the bundle's programs are for another architecture."""
    elf = requires.get("elf")
    wanted = str(elf.get("machine", "") if isinstance(elf, Mapping) else "")
    if wanted not in MACHINES:
        raise IntegrityError(
            f"the manifest asks for a machine that edgesmith does not know: {wanted!r}",
            where=MANIFEST,
            hint="build the bundle anew with this version of edgesmith",
        )
    if machine not in MACHINES[wanted]:
        raise DeviceError(
            f"the bundle is for {MACHINES[wanted][0]}, but device '{device}' is {machine!r}",
            where=f"devices.{device}.target",
            hint="give the device a target of its own platform, build that and flash again",
        )


def _send_manifest(
    release: Release, transport: Transport, installer: Installer, deadline: Deadline
) -> None:
    manifest = installer.incoming(f"{release.id}.manifest.json")
    transport.put(
        release.folder / MANIFEST, manifest, sha256=release.id, mode=0o644, deadline=deadline
    )
    if not installer.is_there(deadline):
        # Only the first time: later, what is on the device checks what comes in.
        first = release.file(INSTALLER)
        transport.put(
            release.folder / INSTALLER,
            installer.name,
            sha256=first.sha256,
            mode=0o755,
            deadline=deadline,
        )


def _send_files(
    release: Release, transport: Transport, installer: Installer, deadline: Deadline
) -> int:
    """Sends what the device asks for; returns the bytes of the release that were sent.

    The device judges what came in: what it asks for again is sent once more, from its beginning.
    """
    needed = _needed(release, transport, installer, deadline)
    if needed:
        _require_space(sum(f.bytes for f in needed), transport.free_bytes(deadline), transport)
    wrong = needed
    before = transport.sent_bytes
    for fresh in (False, True):
        if not wrong:
            break
        _send_blobs(release, wrong, transport, installer, deadline, fresh=fresh)
        wrong = _needed(release, transport, installer, deadline)
    if wrong:
        raise IntegrityError(
            f"{wrong[0].path} came in wrong on device '{transport.device}', twice",
            where=transport.path(installer.incoming(wrong[0].sha256)),
            hint="check the device's memory and storage, then flash again; the release before is"
            " still the current one",
        )
    # What was sent twice, since it came in wrong, is told as sent once.
    asked = sum(f.bytes for f in release.installed_files if f.sha256 in {n.sha256 for n in needed})
    return min(transport.sent_bytes - before, asked)


def _needed(
    release: Release, transport: Transport, installer: Installer, deadline: Deadline
) -> list[BundleFile]:
    by_hash = {f.sha256: f for f in release.installed_files}
    hashes = installer.needed(release.id, deadline)
    return [_known(one, by_hash, transport.device) for one in hashes]


def _send_blobs(
    release: Release,
    files: Sequence[BundleFile],
    transport: Transport,
    installer: Installer,
    deadline: Deadline,
    *,
    fresh: bool,
) -> None:
    blobs = [
        FileToSend(
            local=release.folder / file.path,
            name=installer.incoming(file.sha256),
            sha256=file.sha256,
            mode=0o644,
        )
        for file in files
    ]

    def on_file(index: int) -> None:
        transport.events.emit(
            Progress(stage="flash", done=index, total=len(blobs), unit="files sent")
        )

    transport.put_all(blobs, deadline=deadline, on_file=on_file, checked_later=True, fresh=fresh)


def _known(sha256: str, by_hash: Mapping[str, BundleFile], device: str) -> BundleFile:
    if sha256 not in by_hash:
        raise DeviceError(
            f"device '{device}' asked for a file that is not in the release: {sha256}",
            hint="remove the installer on the device and flash again",
        )
    return by_hash[sha256]


def _require_space(sent_bytes: int, free_bytes: int, transport: Transport) -> None:
    needed = sent_bytes * _SPACE_FACTOR + _SPACE_MARGIN_BYTES
    if free_bytes < needed:
        raise DeviceError(
            f"device '{transport.device}' is too full: {needed:,} bytes are needed, for the"
            f" {sent_bytes:,} bytes to send and the release made of them; {free_bytes:,} are free",
            where=transport.root,
            hint="free some space there, or set the device's root to a folder on another disk",
        )


def _require_current(
    release: Release, installed: tuple[InstalledRelease, ...], device: str
) -> str | None:
    """The previous release's id; raises DeviceError when the new one did not become current."""
    if not any(r.current and r.id == release.id for r in installed):
        raise DeviceError(
            f"device '{device}' says it installed the release, but it is not the current one",
            hint="see what is there: edgesmith flash --list",
        )
    return next((r.id for r in installed if r.previous), None)
