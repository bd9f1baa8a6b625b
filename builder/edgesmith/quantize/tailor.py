"""The float model in the form that one kind of CPU computes fastest once it is quantized."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from edgesmith.events import EventStream
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.padding import pad_colours, pad_depthwise
from edgesmith.quantize.plain import plain_gemms, separate_weights, whole_pads
from edgesmith.simplify.graph import Editing
from edgesmith.simplify.passes import Pass
from edgesmith.simplify.sequence import run_passes

if TYPE_CHECKING:
    import onnx

_CONTRIB = "com.microsoft"


def tailored(
    prepared: onnx.ModelProto,
    encoding: Encoding,
    excluded: Collection[str],
    sizes: Mapping[str, Sequence[int]],
    *,
    events: EventStream,
) -> onnx.ModelProto:
    """The model for an encoding's CPUs; each change is proven to keep the outputs.

    What is `excluded` from quantization, by names of nodes, stays in float. `sizes` are those at
    which dynamic dimensions are checked. A change that fails is left out, with a warning.
    """
    return _changed(prepared, _passes(encoding, excluded), sizes, events)


def tailored_to_dynamic(
    prepared: onnx.ModelProto,
    excluded: Collection[str],
    sizes: Mapping[str, Sequence[int]],
    *,
    events: EventStream,
) -> onnx.ModelProto:
    """The model as dynamic quantization can take it, proven in the same way."""
    own = partial(separate_weights, excluded=excluded, each_gemm=True)
    passes = _named([("gemms", plain_gemms), ("weights", own)])
    return _changed(prepared, passes, sizes, events)


def _changed(
    prepared: onnx.ModelProto,
    passes: Sequence[Pass],
    sizes: Mapping[str, Sequence[int]],
    events: EventStream,
) -> onnx.ModelProto:
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    found = run_passes(model, passes, sizes)
    for one in found.passes:
        if one.reason:
            events.warning(f"quantize: the pass {one.name} was dropped: {one.reason}")
    return onnx.shape_inference.infer_shapes(found.model)


def _passes(encoding: Encoding, excluded: Collection[str]) -> tuple[Pass, ...]:
    passes: list[tuple[str, Callable[[onnx.ModelProto], bool]]] = [
        ("gemms", plain_gemms),
        ("pads", whole_pads),
        ("weights", partial(separate_weights, excluded=excluded)),
    ]
    if encoding.float_silu:
        passes.append(("silu", name_silu))
    if encoding.channel_multiple > 1:
        multiple = encoding.channel_multiple
        passes.append((
            "depthwise channels", partial(pad_depthwise, multiple=multiple, excluded=excluded)
        ))  # fmt: skip
    if encoding.pads_colours:
        passes.append(("colours", partial(pad_colours, excluded=excluded)))
    return _named(passes)


def _named(passes: Sequence[tuple[str, Callable[[onnx.ModelProto], bool]]]) -> tuple[Pass, ...]:
    return tuple(Pass(name=name, run=partial(_run, edit)) for name, edit in passes)


def _run(edit: Callable[[onnx.ModelProto], bool], model: onnx.ModelProto) -> onnx.ModelProto | None:
    return model if edit(model) else None


def name_silu(model: onnx.ModelProto) -> bool:
    """A value times its Sigmoid is one operator, QuickGelu with alpha 1.

    With AVX-512 that and both conversions take 0.30 ns for each number, a Sigmoid by table and a
    QLinearMul 0.44 ns; and there are two roundings to 8 bits less.
    """
    from onnx import helper

    graph = Editing(model)
    changed = False
    for node in graph.graph.node:
        source = _silu_of(graph, node)
        if source is None:
            continue
        node.op_type, node.domain = "QuickGelu", _CONTRIB
        del node.input[:]
        node.input.append(source)
        node.attribute.append(helper.make_attribute("alpha", 1.0))
        changed = True
    if changed:
        graph.changed()
        if all(one.domain != _CONTRIB for one in model.opset_import):
            model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return graph.close() and changed


def _silu_of(graph: Editing, node: onnx.NodeProto) -> str | None:
    if not graph.is_standard(node, "Mul"):
        return None
    for x, gate in (tuple(node.input), tuple(node.input)[::-1]):
        made = graph.producer.get(gate)
        if made is not None and graph.is_standard(made, "Sigmoid") and made.input[0] == x:
            return str(x) if graph.only_user(gate) is node else None
    return None
