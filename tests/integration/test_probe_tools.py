"""The probe on a device whose tools are BusyBox's."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_systems import applets

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.preflight import lacks, platform_requires
from edgesmith.devices.probe import probe
from edgesmith.events import EventStream
from edgesmith.platforms import load_platforms, runs_here

REQUIRES = platform_requires(load_platforms()["linux-x86_64"])


@pytest.mark.skipif(not runs_here(load_platforms()["linux-x86_64"].elf), reason="needs x86-64")
def test_busybox_finds_what_other_tools_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = LocalTransport(device="box", root=str(tmp_path), events=EventStream())
    here = probe(transport, REQUIRES, Deadline.after(60))
    monkeypatch.setenv("PATH", applets(tmp_path / "path"))
    assert probe(transport, REQUIRES, Deadline.after(60)) == here
    assert here.versions["GLIBC"] >= (2, 28) and lacks(REQUIRES, here) == ()
