"""A model with hostile names, and the project generated from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from edgesmith import __version__
from edgesmith.build_stages import tool_versions
from edgesmith.bundle.assemble import BundleRequest, assemble_bundle
from edgesmith.compile.compilers import system_compiler, zig_compiler
from edgesmith.compile.downloads import fetch
from edgesmith.compile.stage import CompileSettings, compile_project
from edgesmith.events import EventStream
from edgesmith.generate.request import GenerateRequest, VariantFile
from edgesmith.generate.stage import write_project
from edgesmith.model import onnx_file
from edgesmith.platforms import load_platforms
from edgesmith.toolchains import toolchain_of
from edgesmith.values import Bundle, SessionOptions, Variant

PHOTO = "a photo"
INPUT = 'image"; system("id"); //'
OUTPUT = "o\n*/"
FOUND = 'found`|$(id)${x}\\"'
PLATFORM = load_platforms()["linux-x86_64"]
SAMPLES = 4

Array = np.ndarray[Any, Any]


def write_model(path: Path) -> None:
    """logits = (flatten(image) + flatten(photo)) x W, and the indices of all that are not 0.

    The photo is what a camera gives. The second output's size is dynamic, and no input tells it.
    """
    weights = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    zero = np.zeros((), dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], ["flat"]),
            helper.make_node("Flatten", [PHOTO], ["bytes"]),
            helper.make_node("Cast", ["bytes"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["flat", "pixels"], ["sum"]),
            helper.make_node("MatMul", ["sum", "W"], [OUTPUT]),
            helper.make_node("Abs", [OUTPUT], ["size"]),
            helper.make_node("Greater", ["size", "zero"], ["positive"]),
            helper.make_node("NonZero", ["positive"], [FOUND]),
        ],
        "g",
        [
            helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 3, 2, 2]),
            helper.make_tensor_value_info(PHOTO, TensorProto.UINT8, ["batch", 2, 2, 3]),
        ],
        [
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 5]),
            helper.make_tensor_value_info(FOUND, TensorProto.INT64, [2, "count"]),
        ],
        [numpy_helper.from_array(weights, "W"), numpy_helper.from_array(zero, "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)


def write_samples(path: Path, model: Path) -> None:
    """Samples with their reference outputs."""
    rng = np.random.default_rng(1)
    images = rng.normal(size=(SAMPLES, 1, 3, 2, 2)).astype(np.float32)
    photos = rng.integers(0, 256, size=(SAMPLES, 1, 2, 2, 3), dtype=np.uint8)
    results = [run_in_python(model, *pair) for pair in zip(images, photos, strict=True)]
    meta = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(SAMPLES)}
    tensors = {
        f"inputs/{INPUT}": images,
        f"inputs/{PHOTO}": photos,
        f"outputs/{OUTPUT}": np.stack([logits for logits, _ in results]),
        f"outputs/{FOUND}": np.stack([found for _, found in results]),
    }
    save_file(tensors, path, metadata=meta)


def run_in_python(model: Path, image: Array, photo: Array) -> tuple[Array, Array]:
    """Both outputs, from Python's onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    logits, found = session.run([OUTPUT, FOUND], {INPUT: image, PHOTO: photo})
    return logits, found


def make_request(
    folder: Path, cache: Path, *, name: str = "hostile", toolchain: str = "zig"
) -> GenerateRequest:
    """Everything that a project is generated from; files are written below `folder`."""
    tools = tool_versions()
    compiler = zig_compiler(PLATFORM, tools["ziglang"])
    if toolchain != "zig":
        chosen = toolchain_of(toolchain, folder)
        compiler = system_compiler(chosen, PLATFORM, cache=cache, events=EventStream())
    folder.mkdir(parents=True, exist_ok=True)
    model, samples = folder / "m.onnx", folder / "samples.safetensors"
    if not model.exists():
        write_model(model)
        write_samples(samples, model)
    variants = tuple(_variant(variant, model) for variant in ("fp32", "int8"))
    return GenerateRequest(
        model_name=name,
        model_version="1.2.3",
        target="host",
        platform=PLATFORM,
        compiler=compiler,
        variants=variants,
        default_variant="int8",
        golden=samples,
        evaluation=samples,
        downloads=fetch(PLATFORM, cache=cache, events=EventStream()),
        tools=tools,
        edgesmith_version=__version__,
    )


def _variant(name: str, file: Path) -> VariantFile:
    return VariantFile(
        folder=file.parent,
        variant=Variant(
            name=name,
            onnx=onnx_file.describe(onnx.load(file), file),
            precision=name,
            encoding="none",
            provider="cpu",
            session_options=SessionOptions(config={"session.intra_op.allow_spinning": "0"}),
            threads=1,
            self_test_min_sqnr_db=15.0,
            metrics=(),
        ),
    )


def bundle_request(request: GenerateRequest) -> BundleRequest:
    """The bundle of the same project."""
    return BundleRequest(
        model_name=request.model_name,
        model_version=request.model_version,
        target=request.target,
        platform=request.platform,
        toolchain=request.compiler.toolchain.kind,
        variants=tuple(one.variant for one in request.variants),
        default_variant=request.default_variant,
        metrics=("cosine",),
        edgesmith_version=request.edgesmith_version,
        source_sha256="0" * 64,
        onnx_sha256={one.variant.name: one.variant.onnx.sha256 for one in request.variants},
    )


def make_bundle(folder: Path, request: GenerateRequest, cache: Path) -> Bundle:
    """Generated, compiled and assembled below `folder`."""
    for name in ("project", "bundle"):
        (folder / name).mkdir(parents=True)
    write_project(folder / "project", request)
    events = EventStream()
    staged = compile_project(
        folder / "project", folder / "work", CompileSettings(cache=cache), events=events
    )
    return assemble_bundle(folder / "bundle", staged, bundle_request(request), events=events)
