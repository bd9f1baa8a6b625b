"""Which Relu and Clip the quantizer may take into the range of what comes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgesmith.simplify.graph import subgraphs, used_by

if TYPE_CHECKING:
    import onnx

_REMOVED = ("Relu", "Clip")


def removed_activations(model: onnx.ModelProto) -> frozenset[str]:
    """The names of the Relu and Clip that the quantizer may remove.

    It removes each that alone takes a tensor, whatever its bounds; a range, which holds zero, does
    the same only for constant bounds with zero between them. And it does not see who else reads
    the tensors inside of an If or a Loop, or outside of the model.
    """
    inner = {
        name
        for node in model.graph.node
        if any(True for _ in subgraphs(node))
        for name in used_by(node)
    }
    constants = {one.name: one for one in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    return frozenset(
        node.name
        for node in model.graph.node
        if node.op_type in _REMOVED
        and not inner & {node.input[0], node.output[0]}
        and node.input[0] not in outputs
        and _saturates(node, constants)
    )


def kept_activations(model: onnx.ModelProto) -> frozenset[str]:
    """The names of all others, which must stay in float."""
    removed = removed_activations(model)
    names = (node.name for node in model.graph.node if node.op_type in _REMOVED)
    return frozenset(name for name in names if name not in removed)


def _saturates(node: Any, constants: dict[str, Any]) -> bool:
    from onnx import helper, numpy_helper

    if node.op_type == "Relu":
        return True
    bounds = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    for name, given in zip(("min", "max"), node.input[1:], strict=False):
        if given and given not in constants:
            return False
        if given:
            bounds[name] = float(numpy_helper.to_array(constants[given]).reshape(()))
    return float(bounds.get("min", 0.0)) <= 0.0 <= float(bounds.get("max", 0.0))
