"""A model of what a power loss can take: what was written and renamed, but not synced.

Ending a program loses no page cache, so its system calls are replayed on this model, which knows
what fsync has made certain and holds the installer to its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from system_calls import Call

LINKS = ("current", "previous")


@dataclass(eq=False)
class Node:
    """A file, link or folder; `pending`: names in a folder that may be lost, or come back."""

    children: dict[str, Node] | None = None
    target: str | None = None
    dirty: bool = False
    pending: set[str] = field(default_factory=set)

    def below(self) -> Iterator[Node]:
        yield self
        for child in (self.children or {}).values():
            yield from child.below()


def _read(path: Path) -> Node:
    if path.is_symlink():
        return Node(target=str(path.readlink()))
    if path.is_dir():
        return Node(children={p.name: _read(p) for p in path.iterdir()})
    return Node()


class Disk:
    """What is below `base`, all of it certain at first.

    `wrong`: what a power loss at some moment could break; `needless`: syncs of what was certain.
    """

    def __init__(self, base: Path, root: Path) -> None:
        self.base, self.root = base, root
        self.top = _read(base)
        self.wrong: list[str] = []
        self.needless: list[Call] = []
        # Where each link may point after a power loss.
        self._targets: dict[str, set[str]] = {name: set() for name in LINKS}
        self._settle_links()

    def distrust(self) -> None:
        """Nothing is certain: all was written by a transport that does not sync."""
        for node in self.top.below():
            node.dirty = node.children is None
            node.pending = set(node.children or ())

    def replay(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if call.succeeded and call.changes_files:
                self._apply(call)

    def acknowledge(self) -> None:
        """The installer said that it is done: then nothing that counts may be uncertain."""
        folder = self.top
        for name in self.root.relative_to(self.base).parts:
            self._require(name not in folder.pending, f"done, but the folder {name} is unsynced")
            folder = self._children(folder)[name]
        for name in (*LINKS, "installer", "releases"):
            self._require(name not in folder.pending, f"done, but {name} is unsynced")
        self._require(not self._file("installer").dirty, "done, but the installer is unsynced")
        for name in LINKS:
            if name in self._children(folder):
                self._check_link(name)

    def names(self) -> set[str]:
        """Every path below the root, for comparison with the real one."""
        return set(_names(self._node(self.root), ""))

    def _apply(self, call: Call) -> None:
        paths = [Path(p) for p in call.paths]
        if not paths or any(self.base not in (p, *p.parents) for p in paths if p.is_absolute()):
            return
        match call.name:
            case "open" | "openat":
                self._add(paths[0], Node(dirty=True))
            case "mkdir" | "mkdirat":
                self._add(paths[0], Node(children={}))
            case "symlink" | "symlinkat":
                self._add(paths[1], Node(target=str(paths[0])))
            case "link" | "linkat":
                self._add(paths[1], self._node(paths[0]))
            case "write":
                self._node(paths[0]).dirty = True
            case "fsync":
                node = self._node(paths[0])
                if not node.dirty and not node.pending:
                    self.needless.append(call)
                node.dirty, node.pending = False, set()
                if paths[0] == self.root:
                    self._settle_links()
            case "unlink" | "unlinkat" | "rmdir":
                self._remove(paths[0])
            case "rename" | "renameat" | "renameat2":
                self._rename(paths[0], paths[1], exchange="RENAME_EXCHANGE" in call.words)
            case "fchmod" | "flock":
                pass
            case _:
                raise AssertionError(f"the model does not know {call}")

    def _node(self, path: Path) -> Node:
        node = self.top
        for name in path.relative_to(self.base).parts:
            node = self._children(node)[name]
        return node

    def _file(self, name: str) -> Node:
        return self._children(self._node(self.root)).get(name, Node())

    @staticmethod
    def _children(node: Node) -> dict[str, Node]:
        assert node.children is not None
        return node.children

    def _add(self, path: Path, node: Node) -> None:
        folder = self._node(path.parent)
        if self._children(folder).setdefault(path.name, node) is node:
            folder.pending.add(path.name)

    def _settle_links(self) -> None:
        for name in LINKS:
            self._targets[name] = {Path(self._file(name).target or "").name}

    def _remove(self, path: Path) -> None:
        releases = self.root / "releases"
        if releases in path.parents:
            top = path.relative_to(releases).parts[0]
            named = top in set().union(*self._targets.values())
            self._require(not named, f"{path} is removed, but a link may name its release")
            node = self._node(releases)
            replacing = top[5:] in node.pending & {*self._children(node)}
            self._require(not replacing, f"{path} is removed before it is certainly replaced")
        folder = self._node(path.parent)
        del self._children(folder)[path.name]
        folder.pending.add(path.name)

    def _rename(self, old: Path, new: Path, *, exchange: bool) -> None:
        source, target = self._node(old.parent), self._node(new.parent)
        moved = self._children(source).pop(old.name)
        replaced = self._children(target).get(new.name)
        self._children(target)[new.name] = moved
        if exchange:
            assert replaced is not None
            self._children(source)[old.name] = replaced
        source.pending.add(old.name)
        target.pending.add(new.name)
        self._check_rename(new, moved, exchange=exchange)

    def _check_rename(self, new: Path, moved: Node, *, exchange: bool) -> None:
        if new.parent == self.root and new.name in LINKS:
            for name in LINKS:
                self._targets[name].add(Path(self._file(name).target or "").name)
            self._check_link(new.name)
            # Their order is part of what a crash can be recovered from.
            root = self._node(self.root)
            others = {*LINKS, ".tmp-previous"} - {new.name}
            unsure = others & root.pending & {*self._children(root)}
            self._require(exchange or not unsure, f"{new.name} is switched before {unsure}")
        elif new.parent == self.root / "releases" and not new.name.startswith("."):
            self._check_content(new.name[:8], moved)
        elif moved.children is None:
            self._require(not moved.dirty, f"{new.name} gets its name before its content is synced")

    def _check_link(self, name: str) -> None:
        """What a link names is certain before the link is."""
        root = self._node(self.root)
        releases = self._file("releases")
        bundle_id = Path(self._file(name).target or "").name
        self._require("releases" not in root.pending, f"{name}: releases/ is unsynced")
        self._require(bundle_id not in releases.pending, f"{name}: its release's name is unsynced")
        release = self._children(releases).get(bundle_id)
        self._require(release is not None, f"{name} names nothing")
        if release is not None:
            self._check_content(name, release)

    def _check_content(self, name: str, release: Node) -> None:
        unsure = any(n.dirty or n.pending for n in release.below())
        self._require(not unsure, f"{name}: content of its release is unsynced")

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def _names(node: Node, path: str) -> Iterator[str]:
    for name, child in (node.children or {}).items():
        yield f"{path}/{name}"
        yield from _names(child, f"{path}/{name}")
