"""The OpenVINO provider against the cpu's: equal outputs, and what it leaves to the cpu is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from bundled_harness import bench, manifest_of, run_in, variant_of
from harness_files import METADATA

OPENVINO, CPU = "OpenVINOExecutionProvider", "CPUExecutionProvider"
FEW = 8
Array = np.ndarray[Any, Any]
node = helper.make_node


def sqnr_db(found: Array, wanted: Array) -> float:
    noise = np.square(found.astype(np.float64) - wanted).sum()
    return float("inf") if noise == 0 else float(10 * np.log10(np.square(wanted).sum() / noise))


def outputs_by(
    bundle: Path, provider: str, variant: str, folder: Path, *words: str
) -> tuple[Array, Any]:
    """The outputs for every evaluation sample, and the report's run."""
    place = folder / provider
    place.mkdir()
    said = bench(
        bundle, "--provider", provider, "--variant", variant, "--outputs-folder", place, *words
    )
    assert (said.code, said.lines) == (0, [])
    (found,) = load_file(place / f"{variant}.safetensors").values()
    return found, said.run


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_outputs_agree_with_those_of_the_cpu(
    openvino_bundle: Path, tmp_path: Path, variant: str, batch: int
) -> None:
    """Within the bound of the variant's own self-test; every node runs there."""
    words = ("--shape", f"batch={batch}")
    found, run = outputs_by(
        openvino_bundle, "openvino", variant, tmp_path, *words, "--require-provider"
    )
    assert run["effective"]["provider"] == "openvino"
    assert set(run["effective"]["placement"]) == {OPENVINO}
    assert run["effective"]["elsewhere"] == {} and run["effective"]["fallbacks"] == []
    assert run["effective"]["batch"] == batch
    wanted, by_cpu = outputs_by(openvino_bundle, "cpu", variant, tmp_path, *words)
    assert set(by_cpu["effective"]["placement"]) == {CPU}
    assert found.shape == wanted.shape and np.isfinite(found).all()
    bound = variant_of(openvino_bundle, variant)["self_test_min_sqnr_db"]
    assert sqnr_db(found, wanted) >= bound
    # A bound that any output keeps would show nothing.
    assert sqnr_db(np.roll(wanted, 1, axis=0), wanted) < bound
    assert not np.array_equal(found, wanted), "two engines give the same bits"


def test_the_cpu_gets_the_model_as_suits_it(openvino_bundle: Path) -> None:
    """OpenVINO takes it as it is; the same for the cpu would be a comparison with a straw man."""
    said = bench(openvino_bundle, "--variant", "int8", "--provider", "openvino,cpu", "--profile")
    by_openvino, by_cpu = said.report["runs"]
    as_it_is = sum(by_openvino["effective"]["placement"].values())
    assert sum(by_cpu["effective"]["placement"].values()) < as_it_is
    types = {row["op_type"] for row in by_cpu["profile"]}
    assert "QLinearConv" in types and "Conv" not in types


def test_float_outputs_are_not_rounded_to_bfloat16(openvino_bundle: Path, tmp_path: Path) -> None:
    """On CPUs that have it, OpenVINO's own default would."""
    assert manifest_of(openvino_bundle)["providers"]["openvino"]["options"]["precision"] == "FP32"
    found, _ = outputs_by(openvino_bundle, "openvino", "fp32", tmp_path)
    wanted, _ = outputs_by(openvino_bundle, "cpu", "fp32", tmp_path)
    assert sqnr_db(found, wanted) > 100


def test_the_self_test_runs_by_openvino(openvino_bundle: Path) -> None:
    for variant in ("fp32", "int8"):
        said = run_in(
            openvino_bundle, "harness", "verify", "--variant", variant, "--require-provider"
        )
        assert (said.code, said.lines) == (0, [])
        assert "passed" in said.out
    app = run_in(openvino_bundle, "digits-app", "--json")
    assert (app.code, app.lines) == (0, [])


def write_split(folder: Path, middle: list[onnx.NodeProto], output: list[int]) -> tuple[str, ...]:
    """Convolution, what is given from "a" to "b", and a Relu; and the words that name the files."""
    weight = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1] * 4), *middle, node("Relu", ["b"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "split.onnx")
    images = np.random.default_rng(1).normal(size=(FEW, 1, 2, 4, 4)).astype(np.float32)
    metadata = {**METADATA, "count": str(FEW)}
    save_file({"inputs/x": images}, folder / "split.safetensors", metadata)
    return ("--model", str(folder / "split.onnx"), "--samples", str(folder / "split.safetensors"))


UNPOOL = [
    node("MaxPool", ["a"], ["p", "i"], kernel_shape=[2, 2], strides=[2, 2]),
    node("MaxUnpool", ["p", "i"], ["b"], kernel_shape=[2, 2], strides=[2, 2]),
]
WORDS = [
    node("Cast", ["a"], ["c"], to=TensorProto.INT32),
    node("Flatten", ["c"], ["d"]),
    node("TfIdfVectorizer", ["d"], ["b"], mode="TF", min_gram_length=1, max_gram_length=1,
         max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1], pool_int64s=[0, 1]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("middle", "output", "missing"),
    [(UNPOOL, [1, 2, 4, 4], "MaxUnpool"), (WORDS, [1, 2], "TfIdfVectorizer")],
    ids=["MaxUnpool", "TfIdfVectorizer"],
)
def test_an_operator_that_openvino_lacks_runs_on_the_cpu(
    openvino_bundle: Path,
    tmp_path: Path,
    middle: list[onnx.NodeProto],
    output: list[int],
    missing: str,
) -> None:
    words = write_split(tmp_path, middle, output)
    said = bench(openvino_bundle, *words, "--provider", "openvino,cpu")
    split, whole = (run["effective"] for run in said.report["runs"])
    assert (said.code, said.lines) == (0, [])
    assert (split["provider"], split["fallbacks"]) == ("openvino", [])
    others = len(middle) + 1
    assert split["placement"] == {OPENVINO: others, CPU: 1}
    assert split["elsewhere"] == {CPU: {missing: 1}}
    # As the bundle sets it up, although the model is another.
    assert (
        split["provider_options"]
        == manifest_of(openvino_bundle)["providers"]["openvino"]["options"]
    )
    assert split["provider_options"]["precision"] == "FP32"
    assert set(whole["placement"]) == {CPU} and whole["elsewhere"] == {}
    found, wanted = (_outputs(openvino_bundle, words, tmp_path, p) for p in ("openvino", "cpu"))
    assert sqnr_db(found, wanted) > 100
    refused = bench(openvino_bundle, *words, "--provider", "openvino", "--require-provider")
    reason = f"provider 'openvino' is required, and does not run all nodes: 1 {missing} on {CPU}"
    assert (refused.code, refused.lines) == (8, [f"harness: failed: {reason}"])
    assert refused.run["error"]["message"] == reason


def _outputs(bundle: Path, words: tuple[str, ...], folder: Path, provider: str) -> Array:
    place = folder / f"{provider}.safetensors"
    said = bench(bundle, *words, "--provider", provider, "--outputs", place)
    assert said.code == 0
    (found,) = load_file(place).values()
    return found


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"num_stream": "1"}, 2, "provider 'openvino': Invalid provider_option key: num_stream"),
        ({"precision": "FP16"}, 2, "Unsupported inference precision"),
        ({"num_streams": "x"}, 2, "one of its options should be a number: device_type=CPU, num"),
        ({"cache_dir": "/proc/engines"}, 2, "provider 'openvino': Couldn't create directory"),
        ({"load_config": "/proc/engines"}, 2, "provider 'openvino': JSON parsing error: "),
        ({"device_type": "GPU"}, 0, "provider openvino is not used: Device GPU is not available"),
        ({"device_type": "NOTHING"}, 0, "is not used: it takes none of the model's nodes; cpu"),
    ],
    ids=lambda one: "=".join(*one.items()) if isinstance(one, dict) else "",
)
def test_options_are_taken_or_refused_by_name(
    openvino_bundle: Path, options: Mapping[str, str], code: int, says: str
) -> None:
    """A device that is not there is a fallback; what no device takes, a mistake."""
    words = [w for key, value in options.items() for w in ("--provider-option", f"{key}={value}")]
    asked = ("--variant", "fp32", "--provider", "openvino", *words)
    said = bench(openvino_bundle, *asked)
    assert said.code == code
    (line,) = said.lines
    assert says in line
    required = bench(openvino_bundle, *asked, "--require-provider")
    assert required.code == (code or 8)
