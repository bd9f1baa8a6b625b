"""Metrics of the project's own: their contract, their intervals, and their way into a report."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_project
from safetensors.numpy import save
from test_devices_bench import EXAMPLE

from bad_input import setting
from edgesmith.devices.user_accuracy import ONE_NUMBER, UserAccuracy, with_user_accuracy
from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.metric_names import metric_name
from edgesmith.model.user_metrics import OutputFiles, UserMetrics, UserMetricValue, failed_values
from edgesmith.project.load import load_project
from edgesmith.report.decision import decide
from edgesmith.report.gates import judge_gates
from edgesmith.report.outcome import measurement_failure
from edgesmith.report.plain import Style
from edgesmith.report.proportions import Z
from edgesmith.report.resampling import SEED, mean_interval
from edgesmith.report.schema import validate
from edgesmith.report.text import render_report
from edgesmith.worker.metrics import run as run_metrics
from in_process import serve_in_process

METRIC = "metrics.py:score"
BOTH = ("fp32", "int8")
Array = np.ndarray[Any, Any]


def test_names_of_built_in_metrics_and_of_functions() -> None:
    for name in ("top1", "max_abs_error", METRIC, "tools/my metrics.py:mean_iou", "../m.py:f"):
        assert metric_name(name) == name


def sample_file(path: Path, **tensors: Array) -> Path:
    named = {key.replace("__", "/"): value for key, value in tensors.items()}
    count = len(next(iter(named.values())))
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)}
    path.write_bytes(save(named, metadata))
    return path


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The worker's operation on files in a project, in this process."""

    folder: Path

    def __call__(
        self, body: str, *, labelled: bool = True, names: Sequence[str] = ("a", "b")
    ) -> Any:
        name = f"metrics_{abs(hash((body, labelled)))}"
        (self.folder / f"{name}.py").write_text(f"import numpy as np\n\n{body}\n")
        request = {
            "metrics": [f"{name}.py:score"],
            "outputs": {"fp32": str(self.outputs())},
            "names": list(names),
            "samples": str(self.samples(labelled=labelled)),
            "reference": str(self.folder / "reference"),
            "project": str(self.folder),
        }
        return run_metrics(request)["found"][f"{name}.py:score"]["fp32"]

    def outputs(self) -> Path:
        x = np.arange(24, dtype=np.float32).reshape(4, 1, 6)
        return sample_file(self.folder / "outputs", outputs__b=x, outputs__a=x[:, :, :2] + 1)

    def samples(self, *, labelled: bool) -> Path:
        inputs = np.zeros((4, 1, 3), np.float32)
        extra = {"labels": np.array([3, 1, 4, 1])} if labelled else {}
        zero = np.zeros((4, 1, 6), np.float32)
        sample_file(self.folder / "reference", outputs__a=zero[:, :, :2], outputs__b=zero)
        return sample_file(self.folder / "samples", inputs__x=inputs, **extra)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return Worker(folder=tmp_path)


def test_a_metric_gets_all_outputs_in_their_order_and_the_labels(worker: Worker) -> None:
    body = """def score(outputs, expected):
    assert list(outputs) == ["b", "a"], list(outputs)
    assert type(outputs["b"]) is np.ndarray and outputs["b"].shape == (4, 1, 6)
    assert expected.dtype == np.int64
    return outputs["b"][:, 0, 0] + expected"""
    assert worker(body, names=("b", "a"))["values"] == [3.0, 7.0, 16.0, 19.0]


def test_without_labels_it_gets_the_reference_outputs(worker: Worker) -> None:
    body = """def score(outputs, expected):
    return float(np.abs(outputs["a"] - expected["a"]).max())"""
    assert worker(body, labelled=False)["values"] == 20.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.5", 0.5), ("1", 1.0), ("True", 1.0), ("np.float16(0.5)", 0.5), ("np.array(2)", 2.0),
        ("np.array([True, False, True, True])", [1.0, 0.0, 1.0, 1.0]),
        ("np.array([1, 2, 3, 255], np.uint8)", [1.0, 2.0, 3.0, 255.0]),
        ("np.ones(4, np.float16)", [1.0] * 4),
    ],
)  # fmt: skip
def test_numbers_and_numbers_for_each_sample_are_taken(
    worker: Worker, value: str, expected: object
) -> None:
    found = worker(f"def score(outputs, expected):\n    return {value}")
    assert (found["values"], found["samples"], found["failure"]) == (expected, 4, None)


def test_what_one_metric_does_to_its_arguments_no_other_sees(worker: Worker) -> None:
    body = """def score(outputs, expected):
    del outputs["a"]
    expected.pop("b")
    return 1.0"""
    assert worker(body, labelled=False)["values"] == 1.0
    writes = "def score(outputs, expected):\n    outputs['a'].flags.writeable = True\n    return 1"
    assert "ValueError" in worker(writes)["failure"]["what"]
    through = "def score(outputs, expected):\n    outputs['a'].sort()\n    return 1"
    assert "read-only" in worker(through)["failure"]["what"]


def test_a_file_that_fails_says_so_for_every_metric_and_variant(worker: Worker) -> None:
    (worker.folder / "broken_metrics.py").write_text("def early(a, b): return 1\n\n1 / 0\n")
    outputs = str(worker.outputs())
    request = {
        "metrics": ["broken_metrics.py:early", "broken_metrics.py:late"],
        "outputs": dict.fromkeys(BOTH, outputs),
        "names": ["a", "b"],
        "samples": str(worker.samples(labelled=True)),
        "reference": str(worker.folder / "reference"),
        "project": str(worker.folder),
    }
    for by_variant in run_metrics(request)["found"].values():
        for one in by_variant.values():
            assert "ZeroDivisionError" in one["failure"]["what"]
            assert one["failure"]["where"].startswith("broken_metrics.py:3")


class Draws:
    """The harness's generator, number by number."""

    def __init__(self) -> None:
        self.state = SEED

    def below(self, bound: int) -> int:
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        return (((mixed ^ (mixed >> 31)) >> 32) * bound) >> 32


def expected_interval(values: Array, groups: Array | None) -> tuple[float, float]:
    draws, means = Draws(), []
    of = np.arange(len(values)) if groups is None else groups
    members = [[float(v) for v in values[of == name]] for name in sorted(set(of.tolist()))]
    for _ in range(1000):
        drawn = [v for _ in members for v in members[draws.below(len(members))]]
        means.append(math.fsum(drawn) / len(drawn))
    means.sort()
    return means[25], means[974]


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_are_the_harness_s(grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    values = generator.standard_normal(60)
    groups = generator.integers(3, 12, 60) if grouped else None
    # Also where not all draws are held at once.
    for block in (1 << 22, 1000):
        monkeypatch.setattr("edgesmith.report.resampling._BLOCK", block)
        assert mean_interval(values, groups) == pytest.approx(
            expected_interval(values, groups), rel=1e-12
        )


def test_a_single_group_has_no_interval() -> None:
    assert mean_interval(np.arange(4.0), np.zeros(4, np.int64)) is None


def value_of(numbers: Any) -> UserMetricValue:
    values = np.asarray(numbers, np.float64)
    per_sample = values if values.ndim else None
    return UserMetricValue(value=float(values.mean()), per_sample=per_sample, samples=8)


def judged(fp32: UserMetricValue, int8: UserMetricValue, groups: Array | None = None) -> Any:
    """The example's report, with its deciding metric replaced by one of the project's own."""
    report = json.loads(EXAMPLE.read_text())
    report["runs"], report["comparisons"] = report["runs"][:2], report["comparisons"][:1]
    report["exit_code"] = 0
    report["comparisons"][0]["accuracy_loss"] = {
        "metric": METRIC, "value": None, "ci95": None, "reason": "not computed on the device",
    }  # fmt: skip
    before = copy.deepcopy(report)
    accuracy = UserAccuracy(
        values={METRIC: {"fp32": fp32, "int8": int8}},
        runs={"fp32": report["runs"][0]["key"], "int8": "another run"},
        groups=groups,
        basis="labels",
    )
    found = with_user_accuracy(report, accuracy)
    assert report == before
    validate(found, where="the test")
    return found


def test_numbers_for_each_sample_give_paired_intervals() -> None:
    fp32, int8 = np.array([1, 1, 1, 0, 2, 1, 1, 1.0]), np.array([1, 0, 1, 0, 2, 1, 1, 1.0])
    report = judged(value_of(fp32), value_of(int8))
    entry = report["runs"][0]["accuracy"][-1]
    assert (entry["metric"], entry["samples"], entry["basis"]) == (METRIC, 8, "labels")
    assert entry["value"] == fp32.mean() and entry["higher_is_better"]
    assert entry["ci95"] == pytest.approx(expected_interval(fp32, None))
    assert "outputs_of" not in entry
    assert report["runs"][1]["accuracy"][-1]["outputs_of"] == "another run"
    comparison = report["comparisons"][0]
    loss = comparison["accuracy_loss"]
    assert loss["value"] == 0.125
    assert loss["ci95"] == pytest.approx(expected_interval(fp32 - int8, None))
    assert comparison["advice"].endswith("can be shown, at most 0.375")
    assert decide(report, accuracy_budget=1.0).ship == "int8"
    assert decide(report, accuracy_budget=-0.1).ship == "fp32"
    assert judge_gates(report, {"max_accuracy_loss": 1.0}, variant="int8")[0].outcome == "pass"
    assert METRIC in render_report(report, Style(width=100))
    assert measurement_failure(report) is None


def test_right_or_wrong_gives_the_intervals_of_shares() -> None:
    report = judged(value_of(np.ones(8)), value_of(np.ones(8)))
    assert report["runs"][0]["accuracy"][-1]["ci95"] == pytest.approx([8 / (8 + Z**2), 1])
    half = Z**2 / (8 + Z**2)
    assert report["comparisons"][0]["accuracy_loss"]["ci95"] == pytest.approx([-half, half])


def test_errors_that_did_not_happen_are_no_shares() -> None:
    report = judged(value_of(-np.zeros(8)), value_of(-np.zeros(8)))
    loss = report["comparisons"][0]["accuracy_loss"]
    assert loss["value"] == 0 and loss["ci95"] is None
    assert "no spread" in loss["reason"]


def test_groups_widen_and_a_single_one_has_no_interval() -> None:
    fp32, int8 = 2 * np.ones(8), np.array([2, 1, 2, 1, 2, 2, 2, 2.0])
    groups = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    loss = judged(value_of(fp32), value_of(int8), groups)["comparisons"][0]["accuracy_loss"]
    assert loss["groups"] == 3
    assert loss["ci95"] == pytest.approx(expected_interval(fp32 - int8, groups))
    one = judged(value_of(fp32), value_of(int8), np.zeros(8, np.int64))["comparisons"][0]
    assert one["accuracy_loss"]["ci95"] is None
    assert "one group" in one["accuracy_loss"]["reason"]


def test_one_number_has_a_value_and_no_interval() -> None:
    report = judged(value_of(0.75), value_of(0.5))
    loss = report["comparisons"][0]["accuracy_loss"]
    assert (loss["value"], loss["ci95"], loss["reason"]) == (0.25, None, ONE_NUMBER)
    decision = decide(report, accuracy_budget=0.5)
    assert decision.ship is None
    assert "0.25" in decision.reason and ONE_NUMBER in decision.reason
    assert decision.advice == f"let {METRIC} return a number for each sample"
    assert judge_gates(report, {"max_accuracy_loss": 0.5}, variant="int8")[0].outcome == "undecided"
    assert judged(value_of(0.75), value_of([0.5] * 8))["comparisons"][0]["accuracy_loss"] == loss


def test_a_failure_is_told_and_does_not_end_green() -> None:
    error = ModelError("it fails: KeyError: 'x'", where="metrics.py:3 in score", hint="mend it")
    report = judged(value_of(0.75), failed_values(["int8"], error)["int8"])
    entry = report["runs"][1]["accuracy"][-1]
    assert entry["value"] is None
    assert "KeyError" in entry["reason"] and "metrics.py:3" in entry["reason"]
    assert report["runs"][1]["latency"]
    failure = measurement_failure(report)
    assert isinstance(failure, ModelError)
    assert failure.where == "metrics.py:3 in score"
    assert "metrics.py:3 in score" in render_report(report, Style(width=200))


def test_only_metrics_that_the_project_names_are_run(tmp_path: Path) -> None:
    folder = small_project.write_project(tmp_path)
    metrics = UserMetrics(project=load_project(folder / "edgesmith.toml", {}), events=EventStream())
    nothing = OutputFiles(
        files={"int8": folder / "x"}, names=(), samples=folder / "x", reference=folder / "x"
    )
    failure = metrics.measure([METRIC], nothing)[METRIC]["int8"].failure
    assert failure is not None
    assert "no longer has" in failure.what


# The nth call gives the nth number: for fp32, then for INT8 of each calibration.
COUNTING = """from pathlib import Path


def score(outputs, expected):
    calls = Path("calls.txt")
    calls.write_text((calls.read_text() if calls.exists() else "") + "x")
    return [0.0, -5.0, -1.0][len(calls.read_text()) - 1]
"""


def test_the_deciding_metric_chooses_among_calibrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_in_process(monkeypatch)
    monkeypatch.setenv("EDGESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    project = small_project.write_project(tmp_path)
    (project / "metrics.py").write_text(COUNTING)
    setting('metrics = ["top1"]', f'metrics = ["{METRIC}", "top1"]')(project)
    said = small_project.call(project, capsys, "quantize")
    assert said.code == 0, said.err
    record = json.loads((project / "build/digits/host/quantize/record.json").read_text())
    assert record["calibration_method"] == "mse"
    assert [m["name"] for m in record["variants"][1]["metrics"]] == [METRIC, "top1"]
    assert (record["accuracy_metric"], record["accuracy_loss"]) == (METRIC, 1.0)
