"""Reads, cleans and describes ONNX files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError
from edgesmith.hashing import sha256_file
from edgesmith.model.external_data import data_files, whole_bytes
from edgesmith.values import DataFile, OnnxFile, TensorInfo
from edgesmith.worker import weights

if TYPE_CHECKING:
    import onnx

MAX_PROTOBUF_BYTES = weights.MAX_PROTOBUF_BYTES

_ELEMENT_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip

_RANDOM_OPERATORS = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip


def load(
    path: Path, *, shown_as: str | None = None, data: bool = True, check: bool = True
) -> onnx.ModelProto:
    """Reads and checks an ONNX file; raises ModelError for anything that is not one.

    Without `data` what lies in other files stays there: their tensors have no values then. Without
    `check` only what can't be read is refused: for what is checked before or after.
    """
    import onnx
    from google.protobuf.message import DecodeError

    where = shown_as or str(path)
    _require_readable(path, where)
    try:
        model = onnx.load(path, load_external_data=False)
        outside = data_files(model, path, shown_as=where)
        if outside and data:
            _refuse_too_large(whole_bytes(model, shown_as=where), where)
            onnx.load_external_data_for_model(model, str(path.parent))
        _complete_outputs(model)
        _require_input_shapes(model, where)
        if check:
            onnx.checker.check_model(str(path) if outside else model)
    except onnx.checker.ValidationError as error:
        raise _invalid(
            error, where, "correct it where it is made: onnx.checker.check_model() says the same"
        ) from error
    except (DecodeError, onnx.shape_inference.InferenceError, ValueError, OSError) as error:
        raise _invalid(
            error, where, "the file may be truncated or of another format: copy or export it again"
        ) from error
    if not model.graph.node and not model.graph.output:
        raise ModelError(
            "the ONNX file is empty", where=where, hint="copy or export the model again"
        )
    return model


def _invalid(error: Exception, where: str, hint: str) -> ModelError:
    reason = str(error).strip().splitlines()
    words = reason[0] if reason else type(error).__name__
    return ModelError(f"not a valid ONNX model: {words}", where=where, hint=hint)


def _complete_outputs(model: onnx.ModelProto) -> None:
    """Types and shapes of outputs that the file leaves open, as far as they can be inferred."""
    import onnx

    kinds = [(one, one.type.tensor_type) for one in model.graph.output]
    open_ones = [one for one, kind in kinds if not kind.elem_type or not kind.HasField("shape")]
    if not open_ones:
        return
    inferred = {one.name: one for one in onnx.shape_inference.infer_shapes(model).graph.output}
    for one in open_ones:
        one.CopyFrom(inferred[one.name])


def _require_input_shapes(model: onnx.ModelProto, where: str) -> None:
    """Nothing tells how many dimensions an input has that has no shape."""
    for one in model.graph.input:
        kind = one.type.tensor_type
        if one.type.HasField("tensor_type") and not kind.HasField("shape"):
            raise ModelError(
                f"the input '{one.name}' has no shape",
                where=where,
                hint="write it into the file with its dynamic dimensions, such as by"
                " onnx.tools.update_model_dims",
            )


def _require_readable(path: Path, where: str) -> None:
    if path.is_dir():
        raise ModelError("this is a folder, not an ONNX file", where=where, hint="name the file")
    if not path.is_file():
        raise ModelError(
            "the ONNX file does not exist", where=where, hint="correct the path to the model"
        )
    if not os.access(path, os.R_OK):
        raise ModelError(
            "the ONNX file can't be read: permission denied",
            where=where,
            hint="give your user permission to read it",
        )


def _refuse_too_large(size: int, where: str) -> None:
    if size > MAX_PROTOBUF_BYTES:
        raise ModelError(
            f"the model has {size / 1e9:.1f} GB, more than the 2 GB that one ONNX file can hold",
            where=where,
            hint="write its weights to a second file: onnx.save_model(...,"
            " save_as_external_data=True)",
        )


def every_node(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the graph, of its functions, and of branches and loops in either."""
    yield from nodes_of(model.graph)
    for function in model.functions:
        yield from nodes_of(function)


def nodes_of(graph: Any) -> Iterator[Any]:
    """The nodes of a graph or function and of those inside its branches and loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from nodes_of(inner)


def random_node(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The first that draws other numbers in each run."""
    from onnx import numpy_helper

    values = {one.name: one for one in model.graph.initializer}
    for node in every_node(model):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in _RANDOM_OPERATORS:
            return node
        mode = values.get(node.input[2]) if len(node.input) > 2 else None
        if node.op_type == "Dropout" and mode is not None and numpy_helper.to_array(mode).all():
            return node
    return None


def strip_traces(model: onnx.ModelProto) -> None:
    """Removes what exporters note about source files, lines and stack traces, in place.

    They would reach the device, and make hashes depend on the folder of the project.
    """
    del model.metadata_props[:]
    model.ClearField("doc_string")
    for function in model.functions:
        function.ClearField("doc_string")
        del function.metadata_props[:]
        for node in function.node:
            _strip(node)
    _strip_graph(model.graph)


def _strip(part: Any) -> None:
    part.ClearField("doc_string")
    del part.metadata_props[:]


def _strip_graph(graph: Any) -> None:
    _strip(graph)
    for part in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        _strip(part)
    for node in graph.node:
        _strip(node)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _strip_graph(inner)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes one self-contained file with deterministic bytes; raises ModelError over 2 GB."""
    from google.protobuf.message import EncodeError

    try:
        data = model.SerializeToString(deterministic=True)
    except EncodeError:
        _refuse_too_large(model.ByteSize(), path.name)
        raise
    _refuse_too_large(len(data), path.name)
    path.write_bytes(data)


def describe(model: onnx.ModelProto, path: Path) -> OnnxFile:
    """The facts of a saved model; `path` gives name, size and hash.

    Its data need not be loaded: what lies in other files is told by the model.
    """
    outside = data_files(model, path, shown_as=path.name)
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    return OnnxFile(
        path=path.name,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        opset=opset_of(model),
        ir_version=model.ir_version,
        nodes=len(model.graph.node),
        inputs=tuple(tensor_info(value) for value in inputs),
        outputs=tuple(tensor_info(value) for value in model.graph.output),
        data_files=tuple(DataFile(path=name, bytes=size) for name, size in outside.items()),
    )


def describe_file(path: Path) -> OnnxFile:
    """The facts of the file at `path`; raises ModelError for one that is not valid."""
    return describe(load(path, data=False), path)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that the model imports."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    return max(versions, default=0)


def element_type(number: int) -> str:
    """numpy's name of an ONNX element type; raises ModelError for one we don't feed."""
    if number not in _ELEMENT_TYPES:
        import onnx

        raise ModelError(
            f"element type {onnx.TensorProto.DataType.Name(number)} is not supported for inputs"
            " and outputs",
            where="the model's inputs and outputs",
            hint="cast it to a numeric type inside the model",
        )
    return _ELEMENT_TYPES[number]


def tensor_info(value: Any) -> TensorInfo:
    """Name, dtype and dims of a graph input or output; unnamed dynamic dims get a name."""
    tensor = value.type.tensor_type
    dims: list[int | str] = []
    for index, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value"):
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or f"{value.name}_dim_{index}")
    return TensorInfo(name=value.name, dtype=element_type(tensor.elem_type), dims=tuple(dims))
