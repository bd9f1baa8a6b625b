"""The connection is cut or stalls at many points of an upload: nothing breaks, and it goes on."""

from __future__ import annotations

import json
import subprocess
import zlib
from pathlib import Path

import pytest
from bundles import another_bundle
from over_ssh import transport_to
from proxy import Harm, Proxy
from sshd import Client, Sshd

from edgesmith.devices.install import FlashOptions, Installation, flash
from edgesmith.errors import DeviceError
from edgesmith.events import EventStream
from edgesmith.project.load import load_project
from workbench import Edgesmith

_SLACK_BYTES = 64 * 1024
# Bytes of a connection after which it is harmed: in its handshake, before the upload, and then
# ten times in an upload that goes on where it was.
_POINTS = [1_000, 12_000, *[1_000_000] * 10]
HARMS: list[Harm] = ["cut", "stall"]


def flash_through(bundle: Path, project: Edgesmith, address: str) -> Installation:
    device = load_project(project.folder / "edgesmith.toml").device("board")
    with transport_to(address, device.root) as transport:
        return flash(
            bundle,
            device,
            events=EventStream(),
            transport=transport,
            options=FlashOptions(timeout_s=60),
        )


def missing_bytes(bundle: Path, incoming: Path) -> int:
    """What is to be sent of a bundle, packed; all its larger files are new to the device."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    there = {p.name.removesuffix(".part"): p.stat().st_size for p in incoming.iterdir()}
    release = {f["sha256"]: f["path"] for f in manifest["files"] if f["role"] != "bench"}
    tails = [(bundle / path).read_bytes()[there.get(h, 0) :] for h, path in release.items()]
    return sum(len(zlib.compress(tail, level=1)) for tail in tails)


def test_an_upload_goes_on_where_it_was(
    board: Edgesmith, server: Sshd, client: Client, proxy: Proxy, tmp_path: Path
) -> None:
    old = board.folder / "build/digits/host/bundle"
    installed = flash_through(old, board, "board")
    model = Path(installed.root) / "digits"
    new = tmp_path / "new"
    another_bundle(old, new, "1.0.1", lambda f: f["role"] in ("runtime", "app"))
    for number, point in enumerate(_POINTS):
        proxy.do_harm(HARMS[number % 2], point)
        with pytest.raises(DeviceError) as caught:
            flash_through(new, board, "far")
        assert "the time allowed" not in caught.value.what
        assert caught.value.hint
        # As when a network comes back; the last one stays away.
        if number < len(_POINTS) - 1:
            proxy.cut()
        assert (model / "current").readlink().name == installed.bundle_id
        subprocess.run([model / "current/bin/harness", "verify"], check=True, capture_output=True)
    missing = missing_bytes(new, model / "incoming")
    # Not much of what had gone out ten times was lost.
    assert missing < missing_bytes(new, new) - 4_000_000
    proxy.do_harm("none", 0)
    done = flash_through(new, board, "far")
    assert done.previous_id == installed.bundle_id and done.self_test == "passed"
    assert proxy.sent_bytes <= missing + _SLACK_BYTES


def test_a_bit_that_flips_on_the_way_breaks_the_connection_and_nothing_else(
    board: Edgesmith, client: Client, proxy: Proxy
) -> None:
    bundle = board.folder / "build/digits/host/bundle"
    proxy.do_harm("flip", 5_000_000)
    with pytest.raises(DeviceError):
        flash_through(bundle, board, "far")
    proxy.do_harm("none", 0)
    assert flash_through(bundle, board, "far").self_test == "passed"
    assert proxy.sent_bytes < 12_000_000


@pytest.mark.parametrize("suffix", [".part", ""])
def test_what_changed_on_the_device_is_sent_anew(
    board: Edgesmith, client: Client, proxy: Proxy, suffix: str
) -> None:
    bundle = board.folder / "build/digits/host/bundle"
    proxy.do_harm("cut", 8_000_000)
    with pytest.raises(DeviceError):
        flash_through(bundle, board, "far")
    device = load_project(board.folder / "edgesmith.toml").device("board")
    with transport_to("board", device.root) as transport:
        incoming = Path(transport.path("digits/incoming"))
    part = max(incoming.glob("*.part"), key=lambda p: p.stat().st_size)
    with part.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"flipped")
    if not suffix:
        # As a file that came in whole and changed afterwards.
        part.rename(part.with_suffix(""))
    proxy.do_harm("none", 0)
    assert flash_through(bundle, board, "far").self_test == "passed"
