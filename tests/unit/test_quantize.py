from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgesmith.errors import ModelError, UsageError
from edgesmith.model import onnx_file
from edgesmith.project.cpu_names import require_known_cpu
from edgesmith.project.load import load_project
from edgesmith.project.project import Target
from edgesmith.quantize.encoding import VNNI_CPUS, encoding_for, kernels_fit_here
from edgesmith.quantize.metrics import Evaluation, evaluate, loss, sqnr_db
from edgesmith.quantize.static import excluded_nodes
from edgesmith.values import MetricValue, SessionOptions
from edgesmith.worker.tensors import SamplesWriter, ShapeChanged, open_samples


@pytest.fixture
def target(project_file: Path) -> Target:
    return load_project(project_file, {}).target("host")


def test_every_cpu_with_vnni_may_be_named() -> None:
    for cpu in VNNI_CPUS:
        require_known_cpu(cpu, "EM_X86_64", where="the test")


def test_pairs_are_made_to_fit_unless_the_cpu_is_known_to_have_vnni(target: Target) -> None:
    assert encoding_for(target).name == "u8s8-pairs"
    assert encoding_for(target).pairs
    assert encoding_for(replace(target, cpu="haswell")).pairs
    assert not encoding_for(replace(target, cpu="znver4")).pairs


@pytest.mark.parametrize(
    ("cpu", "flags", "fits"),
    [
        (None, "avx2", True),
        ("haswell", "avx2", True),
        ("znver4", "avx2 avx512_vnni", True),
        ("alderlake", "avx2 avx_vnni", True),
        ("znver4", "avx2", False),
    ],
)
def test_what_is_meant_for_vnni_is_not_judged_on_a_cpu_without(
    project_file: Path, tmp_path: Path, cpu: str | None, flags: str, fits: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu {flags}\n")
    target = replace(load_project(project_file, {}).target("host"), cpu=cpu)
    assert kernels_fit_here(target, cpuinfo) == fits
    assert not encoding_for(target).activation_signed


def test_a_platform_without_an_encoding_is_an_error(target: Target) -> None:
    strange = replace(target, platform=replace(target.platform, int8_encoding="u4"))
    with pytest.raises(UsageError, match="no INT8 encoding"):
        encoding_for(strange)


def double_model(path: Path, factor: float) -> None:
    """y = factor * x, for x of [1, 6]."""
    constant = helper.make_tensor("k", TensorProto.FLOAT, [], [factor])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["y"], name="scale")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6])],
        [constant],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx_file.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def samples(folder: Path, labels: list[int] | None) -> Evaluation:
    """Three one-hot samples whose reference is the input itself."""
    inputs, reference = SamplesWriter(folder / "in"), SamplesWriter(folder / "ref")
    for index in range(3):
        x = np.zeros((1, 6), np.float32)
        x[0, index] = 1.0
        extra = {"labels": np.asarray(labels[index], np.int64)} if labels else {}
        inputs.add({"inputs/x": x, **extra})
        reference.add({"outputs/y": x})
    inputs.close({})
    reference.close({})
    metrics = ("top1", "top5", "cosine", "sqnr_db", "max_abs_error")
    return Evaluation(samples=folder / "in", reference=folder / "ref", metrics=metrics)


def values(folder: Path, factor: float, evaluation: Evaluation) -> dict[str, float]:
    double_model(folder / "m.onnx", factor)
    found = evaluate(folder / "m.onnx", SessionOptions(), evaluation)
    assert all(m.samples == 3 for m in found)
    return {m.name: m.value for m in found}


def test_metrics_against_labels_and_reference(tmp_path: Path) -> None:
    evaluation = samples(tmp_path, labels=[0, 1, 5])
    exact = values(tmp_path, 1.0, evaluation)
    assert exact["top1"] == pytest.approx(2 / 3)
    assert (exact["cosine"], exact["sqnr_db"], exact["max_abs_error"]) == (1.0, 200.0, 0.0)
    off = values(tmp_path, 1.1, evaluation)
    assert off["max_abs_error"] == pytest.approx(0.1, rel=1e-5)
    assert off["sqnr_db"] == pytest.approx(20.0, abs=1e-3)
    assert off["cosine"] == pytest.approx(1.0)


def test_without_labels_the_reference_decides(tmp_path: Path) -> None:
    evaluation = samples(tmp_path, labels=None)
    assert values(tmp_path, 1.0, evaluation)["top1"] == 1.0
    assert values(tmp_path, -1.0, evaluation)["top1"] == 0.0


def test_a_label_that_is_no_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="label 6"):
        values(tmp_path, 1.0, samples(tmp_path, labels=[0, 1, 6]))


def test_an_output_whose_size_depends_on_the_values_is_told(tmp_path: Path) -> None:
    evaluation = samples(tmp_path, labels=None)
    double_model(tmp_path / "m.onnx", 1.0)
    model = onnx_file.load(tmp_path / "m.onnx")
    del model.graph.output[:]
    model.graph.node.append(helper.make_node("NonZero", ["y"], ["places"]))
    model.graph.output.append(helper.make_tensor_value_info("places", TensorProto.INT64, [2, "n"]))
    onnx_file.save(model, tmp_path / "m.onnx")
    reference = SamplesWriter(tmp_path / "places")
    for _ in range(3):
        reference.add({"outputs/places": np.zeros((2, 4), np.int64)})
    reference.close({})
    evaluation = replace(evaluation, reference=tmp_path / "places")
    with pytest.raises(ModelError, match=r"'places' of m.onnx .* is \[2, 1\], .* \[2, 4\]"):
        evaluate(tmp_path / "m.onnx", SessionOptions(), evaluation)


def test_samples_of_other_shapes_are_not_stacked(tmp_path: Path) -> None:
    writer = SamplesWriter(tmp_path / "samples")
    writer.add({"outputs/boxes": np.zeros((3, 4), np.float32)})
    for other in (np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float64)):
        with pytest.raises(ShapeChanged, match=r"\[3, 4\] for the samples before"):
            writer.add({"outputs/boxes": other})
    writer.add({"outputs/boxes": np.ones((3, 4), np.float32)})
    writer.close({})
    assert open_samples(tmp_path / "samples")["outputs/boxes"].shape == (2, 3, 4)


def test_loss_is_positive_when_worse_and_negative_when_better() -> None:
    def metric(name: str, value: float) -> tuple[MetricValue, ...]:
        return (MetricValue(name=name, value=value, samples=1),)

    assert loss(metric("top1", 0.9), metric("top1", 0.8), "top1") == pytest.approx(0.1)
    assert loss(metric("top1", 0.8), metric("top1", 0.9), "top1") == pytest.approx(-0.1)
    assert loss(metric("max_abs_error", 0.0), metric("max_abs_error", 2.0), "max_abs_error") == 2.0


def test_sqnr_stays_finite() -> None:
    assert sqnr_db(1.0, 0.0) == 200.0
    assert sqnr_db(0.0, 1.0) == -200.0
    assert sqnr_db(0.0, 0.0) == 200.0


def test_exclude_takes_names_types_and_patterns(tmp_path: Path) -> None:
    double_model(tmp_path / "m.onnx", 1.0)
    model = onnx.load(tmp_path / "m.onnx")
    assert excluded_nodes(model, ("Mul",)) == ["scale"]
    assert excluded_nodes(model, ("sc*",)) == ["scale"]
    with pytest.raises(UsageError, match=r"'Conv\*' matches no"):
        excluded_nodes(model, ("Conv*",))
