"""Weights of an ONNX model that lie in other files: where, how many, and whether that can be."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError

if TYPE_CHECKING:
    import onnx

# Types that share bytes.
_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor's bytes are: `file` is relative to the model's folder."""

    file: str
    offset: int
    length: int


def place_of(tensor: onnx.TensorProto, *, shown_as: str) -> Place | None:
    """Where the tensor's values lie, None for those in the model itself.

    Raises ModelError for a place that can't be: without a file, before its begin, or of another
    size than the tensor.
    """
    from onnx.external_data_helper import uses_external_data

    if not uses_external_data(tensor):
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    wanted = tensor_bytes(tensor)
    try:
        offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
    except ValueError:
        offset = length = -1
    if not entries.get("location") or offset < 0 or length not in (0, wanted) or wanted <= 0:
        raise ModelError(
            f"the tensor '{tensor.name}' of {wanted} bytes says that its values lie at"
            f" {entries.get('location', 'no file')!r}, offset {entries.get('offset', 0)},"
            f" length {entries.get('length', wanted)}",
            where=shown_as,
            hint="the file is damaged or was written wrongly: export the model again",
        )
    return Place(file=PurePosixPath(entries["location"]).as_posix(), offset=offset, length=wanted)


def data_files(model: onnx.ModelProto, path: Path, *, shown_as: str) -> dict[str, int]:
    """The files that hold tensors of the model at `path`, with their sizes in bytes.

    Raises ModelError for one that is missing, too short, not readable, or outside the model's
    folder: it must lie below it, reached without links.
    """
    found: dict[str, int] = {}
    for tensor in all_tensors(model):
        place = place_of(tensor, shown_as=shown_as)
        if place is None:
            continue
        if place.file not in found:
            found[place.file] = _size_of(path, place.file, shown_as)
        end = place.offset + place.length
        if end > found[place.file]:
            raise ModelError(
                f"its external data '{place.file}' has {found[place.file]} bytes, the tensor"
                f" '{tensor.name}' ends at {end}",
                where=shown_as,
                hint="the file was not copied whole: copy it again",
            )
    return found


def whole_bytes(model: onnx.ModelProto, *, shown_as: str) -> int:
    """The size of the model, loaded without its data, if it held all of that itself."""
    places = (place_of(tensor, shown_as=shown_as) for tensor in all_tensors(model))
    return int(model.ByteSize()) + sum(one.length for one in places if one is not None)


def _size_of(path: Path, name: str, where: str) -> int:
    target = Path(name)
    inside = path.parent / target
    linked = any((path.parent / part).is_symlink() for part in (target, *target.parents[:-1]))
    if target.is_absolute() or ".." in target.parts or linked:
        raise ModelError(
            f"its external data '{name}' lies outside the model's folder",
            where=where,
            hint="save the model again with its data beside it",
        )
    if not inside.is_file():
        raise ModelError(
            f"its external data '{name}' is missing",
            where=where,
            hint="copy that file beside the model too, or save the model as one file",
        )
    if not os.access(inside, os.R_OK):
        raise ModelError(
            f"its external data '{name}' can't be read: permission denied",
            where=where,
            hint="give your user permission to read it",
        )
    return inside.stat().st_size


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """The size of a tensor's values, wherever they lie; 0 for text and for sizes below 0."""
    from onnx import TensorProto, helper

    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return 0
    if any(size < 0 for size in tensor.dims):
        return 0
    bits = _PACKED_BITS.get(TensorProto.DataType.Name(tensor.data_type))
    if bits is None:
        bits = 8 * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return int(math.prod(tensor.dims) * bits + 7) // 8


def all_tensors(model: Any) -> Iterable[Any]:
    """The stored tensors of a model: its initializers, and those in its nodes' attributes."""
    # A function's body has nodes as a graph has, but no weights.
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                graphs.extend(attribute.graphs)
                if attribute.HasField("g"):
                    graphs.append(attribute.g)
