"""A tiny bundle for the harness and loose files for it, right ones and ones that are not."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench import ROOT

DATA = ROOT / "runtime_cpp" / "tests" / "data"
# The tiny model's names, which break whoever pastes them somewhere.
INPUT = 'x"; system("id"); //'
OUTPUT = "y/out\n"
SAMPLES = 16
METADATA = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(SAMPLES)}
Spoil = Callable[[Path], object]

_FILES = {
    "model/fp32.onnx": ("tiny.onnx", "bench"),
    "model/int8.onnx": ("tiny.onnx", "model"),
    "golden/samples.safetensors": ("tiny.safetensors", "golden"),
    "bench/samples.safetensors": ("tiny.safetensors", "bench"),
}


def good_manifest() -> dict[str, Any]:
    """All that the harness reads of a manifest, for the files of write_bundle()."""
    files = [
        {
            "path": path,
            "bytes": (DATA / name).stat().st_size,
            "sha256": hashlib.sha256((DATA / name).read_bytes()).hexdigest(),
            "mode": "0644",
            "role": role,
        }
        for path, (name, role) in _FILES.items()
    ]
    variants = [
        {
            "name": name,
            "path": f"model/{name}.onnx",
            "data": [],
            "precision": name,
            "encoding": "none",
            "provider": "cpu",
            "threads": 1,
            "self_test_min_sqnr_db": 15.0,
            "session_options": {"graph_optimization_level": "all", "config": {}},
            "operations": {"multiply_adds_per_sample": 1},
        }
        for name in ("fp32", "int8")
    ]
    return {
        "schema_version": "1.0",
        "model": {"name": "tiny", "version": "1.0.0"},
        "sequence": 1,
        "target": "host",
        "platform": "linux-x86_64",
        "variants": variants,
        "default_variant": "int8",
        "metrics": ["top1"],
        "providers": {
            "cpu": {"options": {}, "library": None, "device": {}, "graph_optimization_level": "all"}
        },
        "files": files,
    }


def write_bundle(folder: Path, harness: Path) -> Path:
    """A bundle whose harness is `harness`, by another name; returns that."""
    for path, (name, _) in _FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / name, folder / path)
    write_manifest(folder, good_manifest())
    (folder / "bin").mkdir()
    copy = folder / "bin" / "harness"
    try:
        # A symbolic link would lead it to another bundle.
        copy.hardlink_to(harness)
    except OSError:
        shutil.copy(harness, copy)
    return copy


def write_manifest(folder: Path, manifest: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))


def safetensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with this header, as JSON or as its bytes; `length` is what it says of its size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def samples_file(
    tensors: Mapping[str, Any] | None = None, metadata: Mapping[str, str] = METADATA
) -> bytes:
    """Samples for the tiny model: one tensor of inputs, and what is given besides or instead."""
    arrays = {f"inputs/{INPUT}": np.ones((SAMPLES, 1, 4), np.float32), **(tensors or {})}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, array in arrays.items():
        if array is None:
            continue
        dtype = f"{'F' if array.dtype.kind == 'f' else array.dtype.kind.upper()}"
        raw = array.tobytes()
        header[name] = entry(
            f"{dtype}{8 * array.itemsize}", array.shape, len(data), len(data) + len(raw)
        )
        data += raw
    return safetensors(header, data)


def onnx_model(
    dtype: str = "FLOAT",
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    node: tuple[str, Mapping[str, Any]] = ("Identity", {}),
    output: Sequence[int | str] | None = None,
) -> bytes:
    """A model of one node over its first input; by default what samples_file() fits."""
    from onnx import TensorProto, helper

    kind = getattr(TensorProto, dtype)
    shapes = inputs or {INPUT: ["batch", 4]}
    first = next(iter(shapes))
    op_type, attributes = node
    domain = str(attributes.get("domain", ""))
    rest = {k: v for k, v in attributes.items() if k != "domain"}
    graph = helper.make_graph(
        [helper.make_node(op_type, [first], ["y"], domain=domain, **rest)],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", kind, output or shapes[first])],
    )
    opsets = [helper.make_opsetid("", 20)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def big_output_model() -> bytes:
    """A small file whose output is declared as 2^44 bytes."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("Expand", [INPUT, "s"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1 << 40, 4])],
        [helper.make_tensor("s", TensorProto.INT64, [2], [1 << 40, 4])],
    )
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def external_data_model(location: str) -> bytes:
    """A model whose weights are said to lie in another file."""
    import onnx
    from onnx import TensorProto, helper

    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", [INPUT, "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [weight],
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
