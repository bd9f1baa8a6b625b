"""The main job over a real SSH connection."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from bundles import another_bundle
from proxy import Proxy
from sshd import Sshd

from workbench import QUICK, Edgesmith

_SLACK_BYTES = 64 * 1024


def test_flash_list_bench_and_rollback(
    board: Edgesmith, server: Sshd, proxy: Proxy, tmp_path: Path
) -> None:
    bundle = board.folder / "build/digits/host/bundle"
    [first] = board.ok("flash", "--device", "far", "--format", "json").json()["devices"]
    assert first["self_test"] == "passed"
    root = Path(first["root"])
    assert root.parent == server.home
    [state] = board.ok("devices", "--device", "board", "--format", "json").json()["devices"]
    assert (state["answers"], state["bundle_id"]) == (True, first["bundle_id"])

    quick = dataclasses.replace(board, environment={**board.environment, **QUICK})
    [measured] = quick.ok("bench", "--format", "json").json()["devices"]
    assert Path(measured["file"]).is_file() and Path(measured["samples"]).is_file()
    assert {run["verdict"] for run in measured["report"]["runs"]}.isdisjoint({"failed", "emulated"})
    left = {p.name for p in (root / "digits").iterdir()}
    assert not [name for name in left if name.startswith("scratch")]

    second = tmp_path / "second"
    changed = another_bundle(bundle, second, "1.0.1", lambda f: f["role"] == "model")
    shutil.rmtree(bundle)
    shutil.move(second, bundle)
    before = proxy.sent_bytes
    [again] = board.ok("flash", "--device", "far", "--format", "json").json()["devices"]
    assert again["previous_id"] == first["bundle_id"]
    assert proxy.sent_bytes - before <= changed + _SLACK_BYTES

    listed = board.ok("flash", "--list", "--format", "json").json()["devices"][0]["releases"]
    assert [r["id"] for r in listed] == [again["bundle_id"], first["bundle_id"]]
    back = board.ok("flash", "--rollback", "--format", "json").json()["devices"][0]["releases"]
    assert back[0]["id"] == first["bundle_id"] and back[0]["current"]
    assert "device board" in board("doctor", "--device", "board").out
