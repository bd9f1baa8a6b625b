"""Every case of the table is told with its place and remedy, and leaves nothing behind."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_project
from bad_cases import BUNDLE, CASES, EXAMPLE_CASES, ROOT, data
from small_project import call

from bad_input import Case, half_written
from edgesmith.cli.main import VERBS
from in_process import serve_in_process

EXAMPLES = sorted(p.parent for p in ROOT.glob("examples/*/edgesmith.toml"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all cases: what no case spoils is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    serve_in_process(monkeypatch)
    monkeypatch.setenv("EDGESMITH_CACHE", str(cache))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return small_project.write_project(tmp_path)


def outside_build(project: Path) -> dict[Path, bytes | None]:
    """What a failing command must leave as it is."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in project.rglob("*")
        if "build" not in path.relative_to(project).parts[:1] and path.name != "__pycache__"
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_told_with_place_and_remedy(
    project: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
) -> None:
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    case.spoil(project)
    before = outside_build(project)
    said = call(project, capsys, *case.command)
    assert said.code == case.code, said.err
    for words in case.says:
        assert words in said.err, said.err
    assert "fix: " in said.err
    assert said.out == ""
    assert max(map(len, said.err.splitlines())) < 700
    assert outside_build(project) == before
    assert half_written(project, cache) == []


def test_the_small_project_is_right(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the table would find its mistakes in the project, not in what it spoils."""
    assert call(project, capsys, "quantize").code == 0
    for words in ("flash --dry-run", "bench --dry-run"):
        assert call(project, capsys, *words.split()).code == 0


def test_one_sample_is_enough_and_an_endless_generator_is_cut(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data("", "yield {'image': x}").spoil(project)
    assert call(project, capsys, "quantize").code == 0
    data("", "while True: yield {'image': x}").spoil(project)
    said = call(project, capsys, "quantize", "--format", "json")
    assert said.code == 0, said.err
    record = json.loads((project / "build/digits/calibration/record.json").read_text())
    assert record["count"] == 8


def test_the_table_is_large_and_meets_every_command() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.command[0] for case in CASES} >= set(VERBS)


@pytest.mark.parametrize("case", CASES[::7], ids=lambda case: case.name)
def test_an_error_is_one_json_document_too(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
) -> None:
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    case.spoil(project)
    said = call(project, capsys, *case.command, "--format=json")
    record = json.loads(said.out)
    assert record["exit_code"] == said.code == case.code
    assert record["hint"]


@pytest.mark.parametrize("case", EXAMPLE_CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_same_in_every_example(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    example: Path,
    case: Case,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("EDGESMITH_CACHE", str(tmp_path / "cache"))
    assert call(tmp_path, capsys, "init", "p", "--example", example.name).code == 0
    case.spoil(tmp_path / "p")
    said = call(tmp_path / "p", capsys, *case.command)
    assert (said.code, said.out) == (case.code, ""), said.err
    for words in (*case.says, "fix: "):
        assert words in said.err


WRONG_OF: dict[type, Any] = {str: 7, int: "7", float: "7", list: {}, dict: []}


def places(value: Any, *way: Any) -> Iterator[tuple[Any, ...]]:
    """Every field of a manifest; of a list, its first entry."""
    entries = value.items() if isinstance(value, dict) else list(enumerate(value))[:1]
    for key, inner in entries:
        yield (*way, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, *way, key)


def manifest_of(project: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project / BUNDLE / "manifest.json").read_text())
    return content


def test_every_field_of_a_manifest_is_checked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = manifest_of(project)
    file = project / BUNDLE / "manifest.json"
    fields = [way for way in places(right) if way[:1] != ("quantization",) or len(way) == 1]
    assert len(fields) > 50
    for way in fields:
        wrong = copy.deepcopy(right)
        place: Any = wrong
        for key in way[:-1]:
            place = place[key]
        place[way[-1]] = WRONG_OF[type(place[way[-1]])]
        file.write_text(json.dumps(wrong))
        said = call(project, capsys, "flash", "--dry-run")
        assert said.code == 7, f"{way}: {said.err}"
        name = str(way[-1] if isinstance(way[-1], str) else way[-2])
        assert name in said.err.replace("schema version", "schema_version"), way
