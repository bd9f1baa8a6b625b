"""Power loss and failing system calls at every point of the installer's work.

strace ends the installer at each system call that changes files, one after the other, and makes
each of them fail. Ending a program loses no page cache: what a power loss could take beyond that
is judged on a model, see unsynced.py.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from interrupted import NEW, SITUATIONS, Situation, links, run_ok, send_needed
from system_calls import Call, Traced, names_of, require_strace, trace
from tiny_release import faults
from unsynced import Disk

SPOKEN = {
    "ENOSPC": (6, "No space left on device"),
    "EIO": (10, "I/O error"),
    "EROFS": (10, "Read-only file system"),
}
WORKERS = 2
# What cannot be removed stays, and so does what it is not certain that it is replaced.
STOPS_TIDYING = ("unlink", "rmdir", "fsync")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A situation as it was prepared, and what its work does when nothing goes wrong."""

    situation: Situation
    installer: Path
    prepared: Path
    calls: tuple[Call, ...]

    def device(self, folder: Path) -> Path:
        """A copy of the device; the model's folder in it."""
        shutil.copytree(self.prepared, folder / "device", symlinks=True)
        return folder / "device" / "tiny"

    def disk(self, root: Path) -> Disk:
        disk = Disk(root.parent.parent, root)
        if self.situation.name == "first":
            disk.distrust()
        return disk

    def run(self, root: Path, log: Path, *inject: str) -> Traced:
        return trace(
            self.situation.argv(self.installer, root),
            log,
            calls=names_of(self.calls),
            inject=(*inject, *self.situation.inject),
        )

    @property
    def points(self) -> list[Call]:
        changing = [c for c in self.calls if c.changes_files]
        # What the situation itself makes fail cannot be ended, too.
        return [c for c in changing if not any(i.startswith(c.name) for i in self.situation.inject)]


@pytest.fixture(scope="module", params=SITUATIONS)
def bench(
    request: pytest.FixtureRequest, static_installer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    require_strace()
    situation = SITUATIONS[request.param]
    folder = tmp_path_factory.mktemp("power loss")
    prepared = folder / "prepared"
    situation.prepare(static_installer, prepared / "tiny")
    bench = Bench(situation=situation, installer=static_installer, prepared=prepared, calls=())
    root = bench.device(folder)
    argv = situation.argv(static_installer, root)
    done = trace(argv, folder / "log", inject=situation.inject)
    assert done.returncode == 0, done.stderr
    if situation.verb != "need":
        situation.check_end(root)
    return replace(bench, calls=done.calls)


def each(points: Iterable[Call], test: Callable[[Call], None]) -> int:
    """Runs `test` for every point; names all points at which it fails."""
    failures: list[str] = []

    def attempt(point: Call) -> None:
        try:
            test(point)
        except Exception as error:
            failures.append(f"{point}: {type(error).__name__}: {str(error)[:600]}")

    points = list(points)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(attempt, points))
    assert not failures, "\n".join(failures)
    return len(points)


def recover(bench: Bench, root: Path, disk: Disk, log: Path) -> None:
    """Doing the same again gets there, whatever happened before."""
    situation = bench.situation
    if situation.verb == "need":
        send_needed(bench.installer, root, NEW)
        run_ok(bench.installer, "install", root, NEW.id)
        SITUATIONS["upgrade"].check_end(root)
        return
    before = links(root)
    again = bench.run(root, log)
    assert again.returncode == 0, again.stderr
    if situation.verb == "rollback" and before[0] == situation.end[0]:
        # It had switched already: this went back to where it came from.
        assert links(root) == situation.states[0]
    else:
        situation.check_end(root)
    assert [w for i in links(root) if i for w in faults(root, i)] == []
    disk.replay(again.calls)
    disk.acknowledge()
    assert disk.names() == {f"/{p.relative_to(root)}" for p in root.rglob("*")}
    assert disk.wrong == []


def test_power_loss_at_every_point(bench: Bench, tmp_path: Path) -> None:
    def lose_power(point: Call) -> None:
        folder = tmp_path / f"{point.name} {point.nth}"
        root = bench.device(folder)
        disk = bench.disk(root)
        kill = f"{point.name}:signal=SIGKILL:when={point.nth}"
        done = bench.run(root, folder / "log", kill)
        assert done.returncode == -signal.SIGKILL, done
        bench.situation.check(root, bench.installer)
        disk.replay(done.calls)
        recover(bench, root, disk, folder / "again")
        shutil.rmtree(folder)

    assert each(bench.points, lose_power) > 5


def names_below(folder: Path, start: str) -> set[str]:
    return {p.name for p in folder.glob(f"{start}*")}


def fail_at_each(bench: Bench, points: Iterable[Call], error: str, folder: Path) -> None:
    code, words = SPOKEN[error]

    def fail(point: Call) -> None:
        case = folder / f"{point.name} {point.nth}"
        root = bench.device(case)
        disk = bench.disk(root)
        left_over = names_below(root / "releases", ".")
        done = bench.run(root, case / "log", f"{point.name}:error={error}:when={point.nth}")
        bench.situation.check(root, bench.installer)
        if point.name in ("link", "linkat"):
            # Then the file is copied.
            assert done.returncode == 0, done.stderr
            bench.situation.check_end(root)
        else:
            assert done.returncode == code, done
            said = done.stderr
            assert said.startswith("installer: "), said
            assert words in said, said
            failed = next(c for c in done.calls if "INJECTED" in c.result and error in c.result)
            assert any(path in said for path in failed.paths), (failed, said)
            if point.name not in STOPS_TIDYING:
                assert names_below(root / "releases", ".") <= left_over
        disk.replay(done.calls)
        recover(bench, root, disk, case / "again")
        shutil.rmtree(case)

    assert each(points, fail) > 0


def test_a_full_disk_at_every_point(bench: Bench, tmp_path: Path) -> None:
    fail_at_each(bench, bench.points, "ENOSPC", tmp_path)


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_each_kind_of_call_fails(bench: Bench, error: str, tmp_path: Path) -> None:
    """The last call of each name."""
    last = {point.name: point for point in bench.points}
    fail_at_each(bench, last.values(), error, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_every_call_fails(bench: Bench, error: str, tmp_path: Path) -> None:
    fail_at_each(bench, bench.points, error, tmp_path)


def test_a_disk_that_stays_full(bench: Bench, tmp_path: Path) -> None:
    """Nothing can be written from one point on: what was written until then goes again."""
    writes = [p for p in bench.points if p.name == "write"]

    def stay_full(point: Call) -> None:
        case = tmp_path / f"{point.name} {point.nth}"
        root = bench.device(case)
        disk = bench.disk(root)
        before = {p.relative_to(root) for p in root.rglob("*")}
        done = bench.run(root, case / "log", f"write:error=ENOSPC:when={point.nth}+")
        bench.situation.check(root, bench.installer)
        assert done.returncode == 6, done
        if links(root) == bench.situation.states[0]:
            new = {p.relative_to(root) for p in root.rglob("*")} - before
            assert {str(p) for p in new} <= {"releases", "lock"}
        disk.replay(done.calls)
        recover(bench, root, disk, case / "again")

    if writes:
        each(writes, stay_full)


def test_every_sync_is_needed(bench: Bench, tmp_path: Path) -> None:
    """The model's own test: without any one of the syncs it sees what would be lost."""
    if bench.situation.verb == "need":
        pytest.skip("acknowledges nothing")
    root = bench.device(tmp_path)
    start = tmp_path / "start"
    shutil.copytree(root, start, symlinks=True)
    done = bench.run(root, tmp_path / "log")
    assert done.returncode == 0
    root.rename(tmp_path / "end")
    start.rename(root)
    whole = bench.disk(root)
    whole.replay(done.calls)
    whole.acknowledge()
    assert whole.wrong == []
    syncs = [c for c in done.calls if c.name == "fsync" and tmp_path in Path(c.paths[0]).parents]
    unnoticed = []
    for index, sync in enumerate(syncs):
        # A later one of the same folder would make up for it.
        left_out = [c for c in syncs[index:] if c.paths == sync.paths]
        disk = bench.disk(root)
        disk.replay(c for c in done.calls if c not in left_out)
        disk.acknowledge()
        if not disk.wrong and sync not in whole.needless:
            unnoticed.append(str(sync))
    assert unnoticed == []
    assert len(syncs) > len(whole.needless)
