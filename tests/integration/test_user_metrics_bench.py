"""A metric of the project's own, from its file through quantize and a device into the report."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import harness_reference as ref
import numpy as np
import pytest
from safetensors.numpy import load_file

from bad_input import half_written
from edgesmith.report.schema import load_report
from workbench import QUICK, Edgesmith, edit_project, stages_that_ran

# What it prints must not be taken for the worker's own words.
METRICS = """import numpy as np


def hits(outputs, expected):
    print("@progress 1 2\\n{}\\n" + "x" * 100_000)
    logits = outputs["output"][:, 0]
    return np.argsort(-logits, axis=1, kind="stable")[:, 0] == expected


def share(outputs, expected):
    return float(hits(outputs, expected).mean())
"""
NAMES = ["metrics.py:hits", "top1", "metrics.py:share"]
RAISING = METRICS.replace('    print("@', '    raise KeyError("digit 7")\n    print("@')
BENCH = "bench", "--format", "json"


@pytest.fixture(scope="module")
def project(built: Edgesmith, tmp_path_factory: pytest.TempPathFactory) -> Edgesmith:
    """The digits example that is judged by a function; its tests leave metrics.py as it was."""
    folder = tmp_path_factory.mktemp("metrics") / "my digits"
    shutil.copytree(built.folder, folder, symlinks=True)
    (folder / "metrics.py").write_text(METRICS)
    edit_project(folder, 'metrics = ["top1"]', f"metrics = {NAMES}")
    edit_project(folder, '"local"', f'"local"\nroot = "{folder.parent / "device"}"')
    edgesmith = Edgesmith(folder=folder, cache=built.cache, environment=QUICK)
    result = edgesmith.ok("build", "--format", "json")
    # What was quantized has the same bytes.
    assert stages_that_ran(result) <= {"quantize", "compile"}
    edgesmith.ok("flash")
    return edgesmith


@pytest.fixture(scope="module")
def measured(project: Edgesmith) -> Any:
    """The device's entry of a bench that keeps the outputs."""
    (device,) = project.ok(*BENCH, "--keep-outputs").json()["devices"]
    return device


def entries(run: Any) -> dict[str, Any]:
    return {one["metric"]: one for one in run["accuracy"]}


def close(found: Any, expected: Any) -> bool:
    return all(
        math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15)
        for a, b in zip(np.ravel(found), np.ravel(expected), strict=True)
    )


def test_a_function_gives_what_the_built_in_metric_gives(measured: Any) -> None:
    for run in measured["report"]["runs"]:
        found = entries(run)
        assert close(found["metrics.py:hits"]["value"], found["top1"]["value"])
        assert found["metrics.py:hits"]["samples"] == found["top1"]["samples"] == 500
        assert found["metrics.py:hits"]["basis"] == found["top1"]["basis"] == "labels"
        share = found["metrics.py:share"]
        assert close(share["value"], found["top1"]["value"])
        assert share["ci95"] is None and "one number for all" in share["reason"]


def test_intervals_are_those_of_the_kept_outputs(project: Edgesmith, measured: Any) -> None:
    """Definition, seed and order are the harness's: see test_harness_numpy.py."""
    samples = load_file(project.folder / "build/digits/host/bundle/bench/samples.safetensors")
    hits = {}
    for variant, path in measured["outputs"].items():
        assert Path(path).name.endswith(f".outputs.{variant}.safetensors")
        (outputs,) = load_file(path).values()
        assert outputs.shape == (500, 1, 10)
        hits[variant] = ref.top_k(outputs[:, 0], samples["labels"], 1).astype(float)
    report = measured["report"]
    for run in report["runs"]:
        values = hits[run["requested"]["variant"]]
        assert close(entries(run)["metrics.py:hits"]["ci95"], ref.proportion(values, None)[1])
    loss = report["comparisons"][0]["accuracy_loss"]
    assert loss["metric"] == "metrics.py:hits"
    value, interval = ref.paired_loss(hits["fp32"], hits["int8"], None)
    assert close(loss["value"], value)
    assert close(loss["ci95"], interval)
    assert report["decision"]["within_budget"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RAISING, ("KeyError: 'digit 7'", "metrics.py:5 in hits")),
        ("import os\nos._exit(0)\n", ("ended the process without a result", "data.metrics")),
    ],
    ids=["raises", "ends the process"],
)
def test_a_failure_costs_neither_figures_nor_order(
    project: Edgesmith, text: str, says: tuple[str, ...]
) -> None:
    reports = project.folder / "reports"
    before = set(reports.glob("*")) if reports.exists() else set()
    (project.folder / "metrics.py").write_text(text)
    result = project(*BENCH)
    refused = project("quantize")
    (project.folder / "metrics.py").write_text(METRICS)
    for one in (result, refused):
        assert one.code == 3, one.err
        for words in (*says, "fix: "):
            assert words in one.err
    (device,) = result.json()["devices"]
    report = load_report(Path(device["file"]))
    assert all(run["latency"]["count"] >= 100 for run in report["runs"])
    assert all(entries(run)["top1"]["value"] > 0.9 for run in report["runs"])
    assert entries(report["runs"][0])["metrics.py:hits"]["value"] is None
    assert report["comparisons"][0]["accuracy_loss"]["value"] is None
    assert report["decision"]["ship"] is None
    assert len(set(reports.glob("*")) - before) == 2
    assert half_written(project.folder) == []


def test_only_what_depends_on_the_metric_is_redone(project: Edgesmith) -> None:
    project.ok("build")
    (project.folder / "metrics.py").write_text(METRICS + "\nUNUSED = 1\n")
    result = project.ok("build", "--format", "json")
    assert stages_that_ran(result) == {"quantize"}
    (project.folder / "metrics.py").write_text(METRICS)
    assert stages_that_ran(project.ok("build", "--format", "json")) == set()
