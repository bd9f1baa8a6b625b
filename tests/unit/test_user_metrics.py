"""Metrics of the project's own: their contract, their intervals, and their way into a report."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import device_world
import numpy as np
import pytest
import small_project
from device_world import World
from safetensors.numpy import save
from test_devices_bench import EXAMPLE, Harness, ready

from bad_input import setting
from edgesmith.devices.bench import BenchRequest, Measured, bench
from edgesmith.devices.fake import Answer
from edgesmith.devices.user_accuracy import ONE_NUMBER, UserAccuracy, with_user_accuracy
from edgesmith.errors import EdgesmithError, HarnessError, IntegrityError, ModelError
from edgesmith.events import EventStream
from edgesmith.metric_names import metric_name
from edgesmith.model.user_metrics import OutputFiles, UserMetrics, UserMetricValue, failed_values
from edgesmith.project.load import load_project
from edgesmith.report.decision import decide
from edgesmith.report.gates import judge_gates
from edgesmith.report.outcome import measurement_failure
from edgesmith.report.plain import Style
from edgesmith.report.resampling import SEED, mean_interval
from edgesmith.report.schema import load_report, validate
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
    fp32, int8 = np.array([1, 1, 1, 0, 1, 1, 1, 1.0]), np.array([1, 0, 1, 0, 1, 1, 1, 1.0])
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


def test_groups_widen_and_a_single_one_has_no_interval() -> None:
    fp32, int8 = np.ones(8), np.array([1, 0, 1, 0, 1, 1, 1, 1.0])
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


@dataclass(kw_only=True)
class Device:
    """A device whose harness leaves outputs, and a metric that looks at them."""

    world: World
    folder: Path
    written: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measure(self, metrics: Any = None, *, keep_outputs: bool = False) -> Measured:
        harness = self.world.facts.programs["harness"]
        assert isinstance(harness, Harness)
        assert isinstance(harness.report, dict)
        report = copy.deepcopy(harness.report)
        report["comparisons"][0]["accuracy_loss"]["metric"] = METRIC
        for run in report["runs"]:
            run["outputs"] = self.told[run["requested"]["variant"]]
        harness.report = report

        def program(words: Sequence[str]) -> Answer:
            folder = Path(words[words.index("--outputs-folder") + 1])
            for variant, content in self.written.items():
                (folder / f"{variant}.safetensors").write_bytes(content)
            return harness(words)

        self.world.facts.programs["harness"] = program
        request = BenchRequest(
            bundle_folder=self.world.bundle,
            device=self.world.device,
            reports_folder=self.folder / "reports",
            settings={},
            accuracy_budget=0.5,
            id_salt="edgesmith digits",
            user_metrics=metrics,
            keep_outputs=keep_outputs,
        )
        return bench(request, events=self.world.events, transport=self.world.transport)


def outputs_bytes(count: int = 4) -> bytes:
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)}
    return save({"outputs/logits": np.zeros((count, 1, 10), np.float32)}, metadata)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    path = sample_file(tmp_path / "s", inputs__x=np.zeros((4, 1)), labels=np.zeros(4, np.int64))
    content = ("bench", "0644", path.read_bytes())
    monkeypatch.setitem(device_world.CONTENT, "bench/samples.safetensors", content)
    monkeypatch.setattr(device_world, "METRICS", [METRIC, "top1"])
    return Device(
        world=ready(tmp_path, monkeypatch),
        folder=tmp_path,
        written=dict.fromkeys(BOTH, outputs_bytes()),
        told={variant: {"file": f"{variant}.safetensors"} for variant in BOTH},
    )


class Fixed(UserMetrics):
    """Gives values without running anything."""

    def __init__(self, give: Callable[[str], UserMetricValue]) -> None:
        object.__setattr__(self, "give", give)
        object.__setattr__(self, "seen", [])

    def measure(
        self, metrics: Sequence[str], outputs: OutputFiles
    ) -> dict[str, dict[str, UserMetricValue]]:
        vars(self)["seen"].append((tuple(metrics), dict(outputs.files), tuple(outputs.names)))
        assert all(path.is_file() for path in outputs.files.values())
        return {m: {name: vars(self)["give"](name) for name in outputs.files} for m in metrics}


def test_outputs_of_both_variants_reach_the_metric_and_go(device: Device) -> None:
    fixed = Fixed(lambda name: value_of([1.0, 1.0, 1.0, 0.5 if name == "int8" else 1.0]))
    measured = device.measure(fixed)
    ((metrics, files, names),) = vars(fixed)["seen"]
    assert (metrics, set(files), names) == ((METRIC,), set(BOTH), ("logits",))
    report = load_report(measured.file)
    assert [run["accuracy"][-1]["value"] for run in report["runs"]] == [1.0, 0.875]
    assert report["comparisons"][0]["accuracy_loss"]["value"] == 0.125
    assert report["decision"]["ship"] == "int8"
    assert measured.failure() is None
    assert measured.outputs == {}
    left = {p.name for p in measured.file.parent.iterdir()}
    assert left == {measured.file.name, str(measured.samples and measured.samples.name)}


def test_kept_outputs_lie_beside_the_report(device: Device) -> None:
    measured = device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)
    for variant in BOTH:
        kept = measured.outputs[variant]
        assert kept == measured.file.with_name(
            f"{measured.file.stem}.outputs.{variant}.safetensors"
        )
        assert kept.read_bytes() == device.written[variant]
        assert load_report(measured.file)["outputs"][variant]["file"] == kept.name


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a file of samples"),
        (outputs_bytes()[:100], "not a file of samples"),
        (save({"x": np.zeros((4, 1))}, {"count": "4"}), "no outputs of 4 samples"),
        (save({"outputs/x": np.zeros((3, 1))}, {"count": "4"}), "no outputs of 4 samples"),
        (save({"outputs/x": np.zeros(())}, {"count": "4"}), "no outputs of 4 samples"),
        (None, "No such file"),
    ],
)
def test_outputs_that_cannot_be_used_cost_the_metric_only(
    device: Device, content: bytes | None, says: str
) -> None:
    device.written["int8"] = content or b""
    if content is None:
        device.told["int8"] = {"file": None, "reason": "cannot write: No such file"}
    measured = device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)
    report = load_report(measured.file)
    assert all(run["latency"] for run in report["runs"])
    first, second = (run["accuracy"][-1] for run in report["runs"])
    assert first["value"] == 1.0
    assert second["value"] is None and says in second["reason"]
    assert report["comparisons"][0]["accuracy_loss"]["value"] is None
    assert says in report["outputs"]["int8"]["reason"]
    failure = measured.failure()
    assert isinstance(failure, HarnessError)
    assert set(measured.outputs) == {"fp32"}


def test_a_report_of_a_variant_that_nobody_asked_for_is_refused(device: Device) -> None:
    harness = device.world.facts.programs["harness"]
    assert isinstance(harness, Harness) and isinstance(harness.report, dict)
    harness.report["runs"][1]["requested"]["variant"] = "../../int8"
    device.told["../../int8"] = {"file": "x"}
    with pytest.raises(IntegrityError, match="not asked"):
        device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)


def test_a_failing_metric_keeps_the_figures(device: Device) -> None:
    error: EdgesmithError = ModelError("boom", where="metrics.py:1 in score", hint="mend it")
    measured = device.measure(Fixed(lambda name: failed_values([name], error)[name]))
    report = load_report(measured.file)
    assert all(run["latency"]["percentiles"]["50"]["value"] for run in report["runs"])
    assert len(report["metric_errors"]) == 2
    assert report["decision"]["ship"] is None
    failure = measured.failure()
    assert failure is not None and failure.exit_code == 3
    assert failure.hint == "mend it"


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
    assert record["calibration_method"] == "percentile"
    assert [m["name"] for m in record["variants"][1]["metrics"]] == [METRIC, "top1"]
    assert (record["accuracy_metric"], record["accuracy_loss"]) == (METRIC, 1.0)
