"""Every metric and interval of the harness against NumPy and SciPy, from the same raw values."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness_reference as ref
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from edgesmith.errors import ModelError
from edgesmith.quantize.metrics import Evaluation, evaluate
from edgesmith.values import SessionOptions
from workbench import Edgesmith

Array = np.ndarray[Any, Any]
METRICS = ("cosine", "sqnr_db", "max_abs_error")
METADATA = {"format": "edgesmith-samples", "schema_version": "1.0"}
QUICK = ["--min-seconds", "0.01", "--min-iterations", "400"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Samples for a model that gives back its input: outputs are what the case says."""

    outputs: Array
    reference: Array | None = None
    labels: Array | None = None
    groups: Array | None = None

    def tensors(self) -> dict[str, Array]:
        found = {"inputs/x": self.outputs[:, None, :]}
        if self.reference is not None:
            found["outputs/y"] = self.reference[:, None, :]
        if self.labels is not None:
            found["labels"] = self.labels
        if self.groups is not None:
            found["groups"] = self.groups
        return found


def save_model(path: Path, classes: int, bias: Array | None = None) -> None:
    """Identity, or the addition of a vector."""
    node = helper.make_node("Add", ["x", "b"], ["y"])
    if bias is None:
        node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, classes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        [] if bias is None else [numpy_helper.from_array(bias, "b")],
    )
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The harness of the built bundle, on files in a folder."""

    harness: Path
    folder: Path

    def save(self, case: Case) -> tuple[Path, Path]:
        model, samples = self.folder / "model.onnx", self.folder / "samples.safetensors"
        save_model(model, case.outputs.shape[1])
        save_file(case.tensors(), samples, {**METADATA, "count": str(len(case.outputs))})
        return model, samples

    def run(self, *words: str | Path, harness: Path | None = None, code: int = 0) -> Any:
        argv = [harness or self.harness, "bench", *words, *QUICK, "--json", "-"]
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def judge(self, case: Case) -> dict[str, Any]:
        """The accuracy entries of a case by metric; what comes out is what the case says."""
        model, samples = self.save(case)
        out = self.folder / "outputs.safetensors"
        words = ["--model", model, "--samples", samples, "--outputs", out, "--processes", "1"]
        run = self.run(*words)["runs"][0]
        found = load_file(out)["outputs/y"][:, 0, :]
        assert np.array_equal(found, case.outputs, equal_nan=True)
        return {one["metric"]: one for one in run["accuracy"]} | {
            "agreement": run["reference"]["agreement"]
        }


@pytest.fixture
def bench(built: Edgesmith, tmp_path: Path) -> Bench:
    harness = built.folder / "build/digits/host/bundle/bin/harness"
    return Bench(harness=harness, folder=tmp_path)


def close(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-15)


def assert_measured(found: Any, value: float | None, interval: ref.Interval) -> None:
    """Equal to 1e-12, and a reason for what is missing."""
    assert close(found["value"], value), (found, value)
    bounds = found["ci95"]
    assert (bounds is None) == (interval is None), (found, interval)
    if interval is not None:
        assert all(map(close, bounds, interval)), (found, interval)
    assert bool(found.get("reason")) == (value is None or interval is None)


def check_errors(found: dict[str, Any], case: Case, bias: Array | float = 0) -> None:
    """The metrics against the reference outputs."""
    assert case.reference is not None
    metrics = ref.error_metrics(case.outputs + bias, case.reference)
    whole = np.arange(len(case.outputs))
    for name in METRICS:
        value = metrics[name](whole)
        if not math.isfinite(value):
            assert_measured(found[name], None, None)
        else:
            interval = ref.bootstrap(len(whole), case.groups, metrics[name])
            assert_measured(found[name], value, interval)


def check_labels(found: dict[str, Any], case: Case) -> None:
    assert case.labels is not None
    for name, k in (("top1", 1), ("top5", 5)):
        if case.outputs.shape[1] <= k:
            assert name not in found
            continue
        hits = ref.top_k(case.outputs, case.labels, k)
        assert_measured(found[name], *ref.proportion(hits, case.groups))
        assert found[name]["basis"] == "labels"


def random_case(classes: int = 10, count: int = 60) -> Case:
    rng = np.random.default_rng(3)
    outputs = rng.standard_normal((count, classes)).astype(np.float32)
    noise = rng.standard_normal((count, classes)).astype(np.float32)
    labels = np.where(
        rng.random(count) < 0.7, outputs.argmax(axis=1), rng.integers(classes, size=count)
    )
    return Case(outputs=outputs, reference=outputs + 0.3 * noise, labels=labels.astype(np.int64))


def tied() -> Case:
    case = random_case()
    return replace(case, outputs=np.round(case.outputs), reference=np.round(case.outputs * 0.9))


CASES = {
    "random": random_case(),
    "grouped": replace(random_case(), groups=np.arange(60, dtype=np.int64) // 7),
    "one group": replace(random_case(), groups=np.full(60, 4, dtype=np.int64)),
    "groups of one mind": replace(
        random_case(),
        labels=random_case().outputs.argmax(axis=1).astype(np.int64),
        groups=np.arange(60, dtype=np.int64) // 7,
    ),
    "ties": tied(),
    "five classes": random_case(classes=5),
    "all right": replace(
        random_case(), labels=random_case().outputs.argmax(axis=1).astype(np.int64)
    ),
    "constant outputs": replace(random_case(), outputs=np.full((60, 10), 0.5, dtype=np.float32)),
    "outputs of zeros": replace(random_case(), outputs=np.zeros((60, 10), dtype=np.float32)),
    "reference of zeros": replace(random_case(), reference=np.zeros((60, 10), dtype=np.float32)),
    "equal to the reference": replace(random_case(), reference=random_case().outputs),
    "one sample": Case(
        outputs=random_case().outputs[:1],
        reference=random_case().outputs[:1] * np.float32(1.1),
        labels=np.zeros(1, dtype=np.int64),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_accuracy(bench: Bench, name: str) -> None:
    case = CASES[name]
    assert case.reference is not None
    found = bench.judge(case)
    check_errors(found, case)
    check_labels(found, case)
    hits = ref.agreement(case.outputs, case.reference)
    assert_measured(found["agreement"], *ref.proportion(hits, case.groups))
    model, samples = bench.folder / "model.onnx", bench.folder / "samples.safetensors"
    names = (*METRICS, *(n for n in ("top1", "top5") if n in found))
    values = evaluate(
        model, SessionOptions(), Evaluation(samples=samples, reference=samples, metrics=names)
    )
    for one in values:
        expected = found[one.name]["value"]
        if one.name == "sqnr_db" and expected is None:
            # The builder needs a number to compare candidates by.
            assert abs(one.value) == 200.0
        else:
            assert close(one.value, expected), one


def test_agreement_stands_in_for_labels(bench: Bench) -> None:
    case = replace(random_case(), labels=None)
    assert case.reference is not None
    found = bench.judge(case)
    assert found["top1"]["basis"] == "reference"
    hits = ref.agreement(case.outputs, case.reference)
    assert_measured(found["top1"], *ref.proportion(hits, None))


def test_values_that_are_no_numbers(bench: Bench) -> None:
    """A sample with such an output is no hit, and errors have no value."""
    case = random_case()
    assert case.reference is not None
    outputs = case.outputs.copy()
    outputs[[3, 30], 2] = np.nan
    outputs[7, 1] = np.inf
    broken = replace(case, outputs=outputs)
    found = bench.judge(broken)
    check_labels(found, broken)
    assert_measured(
        found["agreement"], *ref.proportion(ref.agreement(outputs, case.reference), None)
    )
    for name in METRICS:
        assert found[name]["value"] is None
        assert "3 of 60 samples have values that are not finite" in found[name]["reason"]
    samples = bench.folder / "samples.safetensors"
    for name in METRICS:
        evaluation = Evaluation(samples=samples, reference=samples, metrics=(name,))
        with pytest.raises(ModelError, match="3 of 60 samples have values that are not finite"):
            evaluate(bench.folder / "model.onnx", SessionOptions(), evaluation)
    evaluation = Evaluation(samples=samples, reference=samples, metrics=("top1",))
    (top1,) = evaluate(bench.folder / "model.onnx", SessionOptions(), evaluation)
    assert close(top1.value, found["top1"]["value"])


def test_a_reference_that_is_no_number(bench: Bench) -> None:
    case = random_case()
    assert case.reference is not None
    reference = case.reference.copy()
    reference[5, 5] = np.nan
    found = bench.judge(replace(case, reference=reference))
    for name in METRICS:
        assert found[name]["value"] is None
        assert "1 of 60 samples have values that are not finite" in found[name]["reason"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (replace(random_case(), labels=np.arange(60, dtype=np.int64)), "the label 10 of sample 10"),
        (
            replace(random_case(), labels=np.full(60, -1, dtype=np.int64)),
            "the label -1 of sample 0",
        ),
        (random_case(classes=1), "two classes or more"),
    ],
    ids=["too large", "negative", "one class"],
)
def test_labels_that_fit_no_class(bench: Bench, case: Case, words: str) -> None:
    found = bench.judge(case)
    assert found["top1"]["value"] is None and words in found["top1"]["reason"]
    assert "top5" not in found
    samples = bench.folder / "samples.safetensors"
    evaluation = Evaluation(samples=samples, reference=samples, metrics=("top1",))
    with pytest.raises(ModelError):
        evaluate(bench.folder / "model.onnx", SessionOptions(), evaluation)


def test_no_labels_in_a_tensor_of_them(bench: Bench) -> None:
    model, samples = bench.save(replace(random_case(), labels=np.zeros(0, dtype=np.int64)))
    report = bench.run("--model", model, "--samples", samples, code=3)
    assert "samples where others have" in json.dumps(report)


def two_variants(bench: Bench, case: Case, bias: Array) -> Path:
    """A bundle of the identity and a model that adds a vector. Returns its harness."""
    bundle = bench.folder / "bundle"
    for name in ("bin", "model", "bench"):
        (bundle / name).mkdir(parents=True)
    (bundle / "bin/harness").write_bytes(bench.harness.read_bytes())
    (bundle / "bin/harness").chmod(0o755)
    (bundle / "lib").symlink_to(bench.harness.parent.parent / "lib")
    save_model(bundle / "model/fp32.onnx", case.outputs.shape[1])
    save_model(bundle / "model/int8.onnx", case.outputs.shape[1], bias)
    count = str(len(case.outputs))
    save_file(case.tensors(), bundle / "bench/samples.safetensors", {**METADATA, "count": count})
    paths = ["model/fp32.onnx", "model/int8.onnx", "bench/samples.safetensors"]
    listed = []
    for path in paths:
        data = (bundle / path).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        role = path.split("/")[0]
        one = {"path": path, "bytes": len(data), "sha256": digest, "mode": "0644", "role": role}
        listed.append(one)
    variants = [{"name": p[6:10], "path": p, "threads": 1} for p in paths[:2]]
    manifest = {
        "schema_version": "1.0", "model": {"name": "m", "version": "1"}, "sequence": 1,
        "target": "host", "platform": "linux-x86_64", "variants": variants,
        "default_variant": "int8", "metrics": ["top1"], "files": listed,
    }  # fmt: skip
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle / "bin/harness"


def with_metric(harness: Path, metric: str) -> None:
    manifest = harness.parent.parent / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"metrics": [metric]}))


def test_losses(bench: Bench) -> None:
    """A candidate against its baseline in each metric, paired by sample, with McNemar's test."""
    case = random_case()
    assert case.reference is not None and case.labels is not None
    bias = np.linspace(-0.4, 0.4, 10, dtype=np.float32)
    harness = two_variants(bench, case, bias)
    changed = case.outputs + bias
    whole = np.arange(len(changed))
    before, after = (
        ref.error_metrics(case.outputs, case.reference),
        ref.error_metrics(changed, case.reference),
    )
    for name in METRICS:
        sign = -1 if name == "max_abs_error" else 1

        def loss(index: Array, name: str = name, sign: int = sign) -> float:
            return sign * (before[name](index) - after[name](index))

        with_metric(harness, name)
        found = bench.run("--processes", "1", harness=harness)["comparisons"][0]["accuracy_loss"]
        assert_measured(found, loss(whole), ref.bootstrap(len(whole), None, loss))
    for name, k in (("top1", 1), ("top5", 5)):
        with_metric(harness, name)
        found = bench.run("--processes", "1", harness=harness)["comparisons"][0]["accuracy_loss"]
        hits = [ref.top_k(outputs, case.labels, k) for outputs in (case.outputs, changed)]
        change = hits[0].astype(float) - hits[1].astype(float)
        assert_measured(found, *ref.paired_loss(*hits, None))
        lost, won = int((change > 0).sum()), int((change < 0).sum())
        assert lost + won > 0
        p = ref.stats.binomtest(lost, lost + won, 0.5).pvalue
        assert close(found["mcnemar_p"], float(p))


@pytest.mark.parametrize("processes", [1, 3])
def test_latencies(bench: Bench, processes: int) -> None:
    """From the raw latencies that lie beside the report."""
    harness = two_variants(bench, random_case(), np.zeros(10, dtype=np.float32))
    raw = bench.folder / "latencies.safetensors"
    report = bench.run("--processes", str(processes), "--samples-out", raw, harness=harness)
    stored = load_file(raw)
    steady = []
    for run in report["runs"]:
        own = [
            stored[one["samples_ref"]][one["warmup"]["iterations"] :] for one in run["processes"]
        ]
        check_latency(run["latency"], own)
        steady.append(own)
    value, interval = ref.median_ratio(*steady)
    assert (interval is None) == (processes == 1)
    assert_measured(report["comparisons"][0]["speedup"], value, interval)


def check_latency(latency: Any, processes: list[Array]) -> None:
    pooled = np.concatenate(processes)
    assert latency["count"] == len(pooled)
    assert close(latency["mean"], float(pooled.mean()))
    assert close(latency["stddev"], float(pooled.std(ddof=1)))
    assert (latency["min"], latency["max"]) == (pooled.min(), pooled.max())
    assert latency["outliers"]["count"] == ref.outlier_count(pooled)
    assert sum(latency["histogram"]["counts"]) == len(pooled)
    for name, found in latency["percentiles"].items():
        value, interval, effective = ref.percentile(processes, round(float(name) / 100, 6))
        assert found["effective_count"] == effective
        assert_measured(found, value, interval)
        if value is None:
            assert found["samples_needed"] > 0
