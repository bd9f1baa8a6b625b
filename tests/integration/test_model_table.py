"""The oddest models of `make models`, through the same functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_table.definitions import DEFINITIONS, Definition
from model_table.page import write_page
from model_table.run import EQUAL, Row, run_model
from workbench import Edgesmith

pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
EVERYDAY = [one for one in DEFINITIONS if one.everyday]


@pytest.mark.usefixtures("worker_here")
@pytest.mark.parametrize("definition", EVERYDAY, ids=lambda one: one.name)
def test_a_model_goes_all_the_way(definition: Definition, built: Edgesmith, tmp_path: Path) -> None:
    row = run_model(definition, tmp_path, built.folder / "build/digits/host/bundle/bin/harness")
    assert row.failure == ""
    assert row.harness == EQUAL
    assert row.nodes_cleaned is not None and row.int8


def test_the_table_holds_what_it_must() -> None:
    assert len({one.name for one in DEFINITIONS}) == len(DEFINITIONS) >= 40
    kinds = [one.kind for one in DEFINITIONS]
    assert all(kinds.count(kind) >= 2 for kind in set(kinds)) and len(set(kinds)) == 6
    assert len(EVERYDAY) >= 12


@pytest.mark.usefixtures("worker_here")
def test_outputs_whose_size_depends_on_the_values_are_refused(tmp_path: Path) -> None:
    places = Definition(name="places", kind="module + examples", source="interfaces:places")
    row = run_model(places, tmp_path / "work", Path("harness"))
    assert row.failure.startswith("exit code 3: the PyTorch model's output 'output'")
    assert "for the samples before" in row.failure


@pytest.mark.usefixtures("worker_here")
def test_a_model_that_fails_is_a_row_with_its_reason(tmp_path: Path) -> None:
    wrong = Definition(name="wrong", kind="module", source="interfaces:no_such_function")
    row = run_model(wrong, tmp_path / "work", Path("harness"))
    assert "exit code 3: " in row.failure and "no_such_function" in row.failure
    rows = [row, Row(name="right", kind=".onnx", harness=EQUAL)]
    write_page(rows, tmp_path / "models.md", defined=3)
    page = (tmp_path / "models.md").read_text()
    assert "2 models of 3, 1 failed" in page
    assert f"- wrong: {row.failure}" in page
