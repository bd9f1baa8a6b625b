"""Situations in which an installer's work is interrupted, and what must hold after it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_release import TinyRelease, faults, leftovers, link, send, sha256, tiny_release

OLDER, OLD, NEW, OTHER = (tiny_release(n) for n in (1, 2, 3, 4))
NO_EXCHANGE = ("renameat2:error=EINVAL",)
State = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A device, what it is asked to do, and which pairs of current and previous may be seen.

    `damaged` is the release that is damaged at the start; `moment_without` says that it may be
    missing for a moment, where names cannot be exchanged.
    """

    name: str
    prepare: Callable[[Path, Path], None]
    words: tuple[str, ...]
    states: tuple[State, ...]
    end: State
    inject: tuple[str, ...] = ()
    damaged: str | None = None
    moment_without: bool = False

    @property
    def verb(self) -> str:
        return self.words[0]

    def argv(self, installer: Path, root: Path) -> list[str]:
        return [str(installer), self.verb, str(root), *self.words[1:]]

    def check(self, root: Path, installer: Path) -> None:
        """What must hold at every moment."""
        seen = links(root)
        assert seen in self.states, f"current and previous are {seen}"
        for bundle_id in {i for i in seen if i is not None}:
            wrong = list(faults(root, bundle_id))
            said = run(installer, "verify", root, bundle_id)
            assert (said.returncode == 0) == (not wrong), (wrong, said.stderr)
            if bundle_id != self.damaged:
                assert not wrong
            elif not (root / "releases" / bundle_id).exists():
                assert self.moment_without
                assert (root / "releases" / f".old-{bundle_id}").is_dir()
        program = root / "installer"
        known = {f"installer of {n}\n".encode() for n in (1, 2, 3)}
        assert not program.exists() or program.read_bytes() in known

    def check_end(self, root: Path) -> None:
        """What must hold once the installer has said that it is done."""
        assert links(root) == self.end
        assert [w for i in self.end if i for w in faults(root, i)] == []
        assert leftovers(root) == set()
        if self.verb == "install":
            current = root / "releases" / str(self.end[0])
            assert (root / "installer").read_bytes() == (current / "bin/installer").read_bytes()


def links(root: Path) -> State:
    return link(root, "current"), link(root, "previous")


def run(installer: Path, verb: str, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(installer), verb, str(root), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def run_ok(installer: Path, verb: str, root: Path, *words: str) -> str:
    done = run(installer, verb, root, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install_all(installer: Path, root: Path, *releases: TinyRelease) -> None:
    for release in releases:
        send(root, release)
        run_ok(installer, "install", root, release.id)


def send_needed(installer: Path, root: Path, release: TinyRelease) -> None:
    """What the host does: the manifest, then what the device asks for."""
    send(root, release, only=frozenset())
    needed = run_ok(installer, "need", root, release.id).split()
    send(root, release, only=frozenset(needed))


def _first(installer: Path, root: Path) -> None:
    send(root, NEW)
    (root / "installer").write_bytes(NEW.file("bin/installer").data)
    (root / "installer").chmod(0o755)


def _upgrade(installer: Path, root: Path) -> None:
    install_all(installer, root, OLDER, OLD)
    send_needed(installer, root, NEW)


def _damaged(installer: Path, root: Path) -> None:
    install_all(installer, root, OLDER, OLD)
    (root / "current/model/int8.onnx").write_bytes(b"torn")
    send_needed(installer, root, OLD)


def _two(installer: Path, root: Path) -> None:
    install_all(installer, root, OLDER, OLD)


def _littered(installer: Path, root: Path) -> None:
    """All that interrupted work can leave behind, and files that came in damaged."""
    install_all(installer, root, OLDER, OLD)
    releases = root / "releases"
    shutil.copytree(releases / OLD.id, releases / OTHER.id)
    for name in (f".tmp-{NEW.id}", f".tmp-{OTHER.id}", f".old-{OLD.id}"):
        (releases / name / "bin").mkdir(parents=True)
        (releases / name / "bin/harness").write_bytes(b"half")
    (root / ".tmp-current").symlink_to(f"releases/{NEW.id}")
    (root / ".tmp-previous").symlink_to(f"releases/{OLD.id}")
    (root / "installer.tmp").write_bytes(b"half")
    send(root, NEW)
    (root / "incoming" / sha256(b"of an abandoned upload")).write_bytes(b"of an abandoned upload")
    (root / "incoming" / "something.part").write_bytes(b"half")


def _abandoned(installer: Path, root: Path) -> None:
    _littered(installer, root)
    (root / "incoming" / sha256(NEW.file("model/int8.onnx").data)).write_bytes(b"torn")


_TWO: State = (OLD.id, OLDER.id)
_UPGRADE: tuple[State, ...] = (_TWO, (OLD.id, OLD.id), (NEW.id, OLD.id))
_BACK: State = (OLDER.id, OLD.id)

SITUATIONS = {
    s.name: s
    for s in (
        Situation(
            name="first",
            prepare=_first,
            words=("install", NEW.id),
            states=((None, None), (NEW.id, None)),
            end=(NEW.id, None),
        ),
        Situation(
            name="upgrade",
            prepare=_upgrade,
            words=("install", NEW.id),
            states=_UPGRADE,
            end=(NEW.id, OLD.id),
        ),
        Situation(
            name="upgrade over leftovers",
            prepare=_littered,
            words=("install", NEW.id),
            states=_UPGRADE,
            end=(NEW.id, OLD.id),
        ),
        Situation(
            name="repair",
            prepare=_damaged,
            words=("install", OLD.id),
            states=(_TWO,),
            end=_TWO,
            damaged=OLD.id,
        ),
        Situation(
            name="repair without exchange",
            prepare=_damaged,
            words=("install", OLD.id),
            states=(_TWO,),
            end=_TWO,
            damaged=OLD.id,
            inject=NO_EXCHANGE,
            moment_without=True,
        ),
        Situation(
            name="rollback",
            prepare=_two,
            words=("rollback",),
            states=(_TWO, _BACK),
            end=_BACK,
        ),
        Situation(
            name="rollback without exchange",
            prepare=_two,
            words=("rollback",),
            states=(_TWO, (OLDER.id, OLDER.id), _BACK),
            end=_BACK,
            inject=NO_EXCHANGE,
        ),
        Situation(
            name="need",
            prepare=_abandoned,
            words=("need", NEW.id),
            states=(_TWO,),
            end=_TWO,
        ),
    )
}
