"""Without a network: what `fetch` left is enough, and what is missing is told all at once."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from edgesmith.compile.archives import archives_for
from edgesmith.platforms import load_platforms
from workbench import SHARED, Edgesmith, FirstBuild, copy_digits, edit_project

ARCHIVES = archives_for(load_platforms()["linux-x86_64"]).all()


def test_after_a_fetch_a_build_needs_no_network(
    first_build: FirstBuild, no_network: tuple[str, ...]
) -> None:
    """From cold build folders, an empty cache and an empty Conan home to a bundle.

    The fixture made it, so that all other tests stand on what it left; test_shared_cache.py
    compares its bundle with those of builds that have a network.
    """
    assert no_network == first_build.launcher
    assert first_build.fetched == set(SHARED)
    assert {stage["status"] for stage in first_build.result["stages"]} == {"ran"}
    assert first_build.result["bundles"][0]["id"]


def test_offline_without_a_fetch_names_all_that_is_missing(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    (tmp_path / "cache").mkdir()
    trace = tmp_path / "trace"
    edgesmith = Edgesmith(
        folder=copy_digits(tmp_path),
        cache=tmp_path / "cache",
        launcher=("strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace)),
    )
    result = edgesmith("build", "--offline")
    assert result.code == 5
    for archive in ARCHIVES:
        assert archive.title in result.err
    assert "run: edgesmith fetch --target host" in result.err
    assert "export" not in result.err, "nothing is begun that can't be finished"
    assert "AF_INET" not in trace.read_text()


def test_offline_needs_no_downloads_for_what_is_generated(
    digits: Edgesmith, tmp_path: Path
) -> None:
    assert digits.ok("build", "--offline", "--format", "json").json()["bundles"]
    cache = cache_without_downloads(digits, tmp_path)
    without = Edgesmith(folder=digits.folder, cache=cache)
    stages = without.ok("build", "--offline", "--format", "json").json()["stages"]
    assert {stage["status"] for stage in stages} == {"cached"}


def cache_without_downloads(edgesmith: Edgesmith, folder: Path) -> Path:
    cache = folder / "without-downloads"
    cache.mkdir()
    for path in edgesmith.cache.iterdir():
        if path.name != "downloads":
            (cache / path.name).symlink_to(path)
    return cache


class SilentIndex:
    """A package index on the loopback that takes connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._connections.append(self._listener.accept()[0])
            except OSError:
                return

    def clients_seen(self) -> set[bytes]:
        """Which of pip and npm asked, by their user agents."""
        seen = set()
        for connection in self._connections:
            request = connection.recv(10_000, socket.MSG_PEEK).lower()
            seen |= {name for name in (b"pip/", b"npm/") if name in request}
        return seen

    def close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()


@pytest.fixture
def silent_index() -> Iterator[SilentIndex]:
    index = SilentIndex()
    yield index
    index.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["fetch", "generate"])
def test_an_interrupted_download_leaves_no_process_and_no_file(
    digits: Edgesmith, tmp_path: Path, silent_index: SilentIndex, command: str, number: int
) -> None:
    edit_project(digits.folder, 'version = "1.0.0"', 'version = "1.0.97"')
    url = f"http://127.0.0.1:{silent_index.port}"
    cache = cache_without_downloads(digits, tmp_path)
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"{url}/simple",
                   "PIP_FIND_LINKS": "", "npm_config_registry": url, "NO_PROXY": "127.0.0.1",
                   "npm_config_noproxy": "127.0.0.1"}  # fmt: skip
    edgesmith = Edgesmith(folder=digits.folder, cache=cache, environment=environment)
    process = edgesmith.start(command)
    while process.poll() is None and silent_index.clients_seen() != {b"pip/", b"npm/"}:
        pass
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err
    assert processes_with(str(cache)) == []
    assert list((cache / "downloads").iterdir()) == []


def processes_with(text: str) -> list[str]:
    """Command lines of processes with `text` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found
