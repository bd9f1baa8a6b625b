"""The harness gives the outputs of Python's onnxruntime of the same release, bit for bit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

from edgesmith.model.numeric import open_session
from edgesmith.report.schema import load_report
from edgesmith.values import SessionOptions
from workbench import Edgesmith


def variant_of(bundle: Path, name: str) -> dict[str, object]:
    manifest = json.loads((bundle / "manifest.json").read_text())
    found = next(v for v in manifest["variants"] if v["name"] == name)
    return dict(found)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_outputs_are_bit_equal(built: Edgesmith, tmp_path: Path, name: str, threads: int) -> None:
    bundle = built.folder / "build/digits/host/bundle"
    variant = variant_of(bundle, name)
    model, samples = bundle / str(variant["path"]), bundle / "bench/samples.safetensors"
    out = tmp_path / "outputs.safetensors"
    argv = [
        bundle / "bin/harness", "bench", "--variant", name, "--threads", str(threads),
        "--samples", samples, "--min-iterations", "10", "--min-seconds", "0.1",
        "--outputs", out, "--json", tmp_path / "report.json",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    options = variant["session_options"]
    assert isinstance(options, dict)
    session = open_session(model, SessionOptions(**options), threads=threads)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["runtime"]["version"] == onnxruntime.__version__
    stacked, found = load_file(samples), load_file(out)
    count = len(stacked["inputs/image"])
    assert found["outputs/output"].shape[0] == count == 500
    for index in range(count):
        (expected,) = session.run(None, {"image": stacked["inputs/image"][index]})
        actual = found["outputs/output"][index]
        assert np.array_equal(expected.view(np.uint32), actual.view(np.uint32)), index


def test_the_report_of_the_harness_validates(built: Edgesmith, tmp_path: Path) -> None:
    bundle = built.folder / "build/digits/host/bundle"
    report = tmp_path / "report.json"
    argv = [bundle / "bin/harness", "bench", "--min-iterations", "10", "--min-seconds", "0.05"]
    done = subprocess.run([*map(str, argv), "--json", str(report)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    load_report(report)


@pytest.mark.parametrize(
    "words",
    [
        ["bin/harness", "bench", "--min-seconds", "0.1", "--min-iterations", "10", "--json", "-"],
        ["bin/harness", "verify"],
        ["bin/digits-app"],
    ],
    ids=" ".join,
)
def test_the_runtime_keeps_nothing_and_reports_nothing(
    built: Edgesmith, tmp_path: Path, words: list[str]
) -> None:
    """ONNX Runtime's own default writes a device identifier and a queue of events to be sent."""
    bundle = built.folder / "build/digits/host/bundle"
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [bundle / words[0], *words[1:]],
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []


def test_the_builder_reports_nothing(digits: Edgesmith, tmp_path: Path) -> None:
    home = tmp_path / "home of the builder"
    home.mkdir()
    silent = Edgesmith(
        folder=digits.folder,
        cache=digits.cache,
        environment={"XDG_CACHE_HOME": str(home), "EDGESMITH_MODEL__OPSET": "19"},
    )
    silent.ok("export")
    assert list(home.rglob("*")) == []
