from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edgesmith.cache import Cache, Dependency, cache_root, observe
from edgesmith.errors import HostFileError
from edgesmith.events import Event, EventStream, Message, StageFinished
from edgesmith.files import MARKER
from edgesmith.stages import Context, Made, Stage, peek_stage, run_stage


@dataclass(frozen=True, kw_only=True)
class Value:
    text: str


class Workshop:
    """A stage that copies `input.txt` in upper case, and counts its runs."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        self.project.mkdir()
        self.source = self.project / "input.txt"
        self.source.write_text("one")
        self.folder = self.project / "build" / "shout"
        self.runs = 0
        self.heard: list[Event] = []
        events = EventStream()
        events.subscribe(self.heard.append)
        self.context = Context(events=events, cache=Cache(root / "cache"))

    def stage(self, setting: int = 1) -> Stage[Value]:
        return Stage(
            name="shout",
            folder=self.folder,
            base=self.project,
            key_parts={"setting": setting},
            value_type=Value,
            make=self.make,
            state=self.project / "build" / ".state",
        )

    def make(self, folder: Path) -> Made[Value]:
        self.runs += 1
        text = self.source.read_text().upper()
        (folder / "out.txt").write_text(text)
        read = observe([(self.source, "file")], base=self.project)
        return Made(value=Value(text=text), dependencies=read)

    def run(self, setting: int = 1) -> str:
        return run_stage(self.stage(setting), self.context).value.text


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_unchanged_work_is_not_redone(shop: Workshop) -> None:
    assert [shop.run(), shop.run()] == ["ONE", "ONE"]
    assert shop.runs == 1
    finished = [e for e in shop.heard if isinstance(e, StageFinished)]
    assert [e.status for e in finished] == ["ran", "cached"]


def test_a_changed_dependency_or_setting_runs_again(shop: Workshop) -> None:
    shop.run()
    shop.source.write_text("two")
    assert shop.run() == "TWO"
    shop.run(setting=2)
    assert shop.runs == 3


def test_going_back_is_served_from_the_cache(shop: Workshop) -> None:
    shop.run()
    shop.source.write_text("two")
    shop.run()
    shop.source.write_text("one")
    assert shop.run() == "ONE"
    assert (shop.folder / "out.txt").read_text() == "ONE"
    assert shop.runs == 2


@pytest.mark.parametrize("damage", ["edit", "add", "remove"])
def test_a_tampered_result_is_restored(shop: Workshop, damage: str) -> None:
    shop.run()
    out = shop.folder / "out.txt"
    match damage:
        case "edit":
            out.write_text("bad")
        case "add":
            (shop.folder / "extra").write_text("x")
        case "remove":
            out.unlink()
    assert shop.run() == "ONE"
    assert out.read_text() == "ONE"
    assert not (shop.folder / "extra").exists()
    assert shop.runs == 1


def test_a_damaged_cache_entry_is_made_anew(shop: Workshop) -> None:
    shop.run()
    for blob in (shop.context.cache.root / "blobs").rglob("*"):
        if blob.is_file():
            blob.write_text("garbage")
    (shop.folder / "out.txt").unlink()
    assert shop.run() == "ONE"
    assert shop.runs == 2
    assert any("damaged" in e.text for e in shop.heard if isinstance(e, Message))


def test_a_failure_leaves_the_old_result_and_nothing_else(shop: Workshop) -> None:
    shop.run()

    def fail(folder: Path) -> Made[Value]:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    broken = Stage(**{**shop.stage(setting=9).__dict__, "make": fail})
    with pytest.raises(KeyboardInterrupt):
        run_stage(broken, shop.context)
    assert (shop.folder / "out.txt").read_text() == "ONE"
    assert sorted(p.name for p in shop.folder.parent.iterdir()) == [".state", "shout"]


def test_a_folder_that_is_not_ours_is_refused(shop: Workshop) -> None:
    shop.folder.mkdir(parents=True)
    (shop.folder / "thesis.txt").write_text("precious")
    with pytest.raises(HostFileError, match="not made by edgesmith"):
        shop.run()
    assert (shop.folder / "thesis.txt").read_text() == "precious"
    assert shop.runs == 0


def test_a_link_in_place_of_the_folder_is_refused(shop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / MARKER).write_text("{}")
    shop.folder.parent.mkdir(parents=True)
    shop.folder.symlink_to(other)
    with pytest.raises(HostFileError):
        shop.run()


def test_peek_writes_nothing(shop: Workshop) -> None:
    assert peek_stage(shop.stage(), shop.context) is None
    assert not shop.folder.exists()
    shop.run()
    shop.source.write_text("two")
    assert peek_stage(shop.stage(), shop.context) is None
    shop.source.write_text("one")
    found = peek_stage(shop.stage(), shop.context)
    assert found is not None
    assert found.value.text == "ONE"


def test_folder_listings_are_dependencies_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (before,) = observe([(data, "folder")], base=tmp_path)
    assert before == Dependency(path="data", kind="folder", digest=before.digest)
    for made_by_builds in ("__pycache__", "build", "reports", ".venv"):
        (data / made_by_builds).mkdir()
    assert observe([(data, "folder")], base=tmp_path) == (before,)
    (data / "new.npz").touch()
    assert observe([(data, "folder")], base=tmp_path) != (before,)


def test_where_the_cache_lies(tmp_path: Path) -> None:
    assert cache_root({"EDGESMITH_CACHE": str(tmp_path)}) == tmp_path
    assert cache_root({"XDG_CACHE_HOME": "/x"}) == Path("/x/edgesmith")
    assert cache_root({}) == Path.home() / ".cache" / "edgesmith"
