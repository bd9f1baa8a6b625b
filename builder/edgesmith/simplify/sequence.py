"""Runs the passes one after the other on a model in memory, each proven before the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesmith.errors import ModelError
from edgesmith.model import numeric, onnx_file
from edgesmith.simplify.passes import Pass
from edgesmith.simplify.proof import Proof
from edgesmith.values import ParityCheck, PassRecord

if TYPE_CHECKING:
    import onnx

# No pass may make the file larger than GROWTH times what it was, and so many bytes.
GROWTH = 2
FREE_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """The model after the passes that were taken; `changed` is False where none was."""

    model: onnx.ModelProto
    passes: tuple[PassRecord, ...]
    parity: tuple[ParityCheck, ...]
    changed: bool


def run_passes(
    model: onnx.ModelProto,
    passes: Sequence[Pass],
    sizes: Mapping[str, Sequence[int]],
    *,
    dropped: Mapping[str, str] | None = None,
    on_pass: Callable[[str], None] = lambda name: None,
) -> Cleaned:
    """Runs `passes` in order; one that changes outputs or interface, or fails, is left out.

    `dropped` gives the reasons of those that are not to be run. `on_pass` hears each name
    before it is run. Raises ModelError when the model itself can't be run.
    """
    state = _State(model, sizes)
    records = []
    for one in passes:
        before = len(state.model.graph.node)
        reason, error = (dropped or {}).get(one.name, ""), None
        taken = False
        if not reason:
            on_pass(one.name)
            taken, reason, error = state.try_pass(one)
        records.append(
            PassRecord(
                name=one.name,
                nodes_before=before,
                nodes_after=len(state.model.graph.node),
                taken=taken,
                reason=reason,
                max_rel_error=error,
            )
        )
    changed = any(record.taken for record in records)
    return Cleaned(
        model=state.model,
        passes=tuple(records),
        parity=state.proof().against_first() if changed else (),
        changed=changed,
    )


class _State:
    """The last model that was taken, also as bytes.

    What a pass spoils is read from them again.
    """

    def __init__(self, model: onnx.ModelProto, sizes: Mapping[str, Sequence[int]]) -> None:
        import onnx

        onnx_file.strip_traces(model)
        self.model = model
        self._bytes = model.SerializeToString()
        self._digest = _digest(model)
        self._interface = onnx.GraphProto(input=_true_inputs(model), output=model.graph.output)
        self._opset = onnx_file.opset_of(model)
        self._inputs = tuple(onnx_file.tensor_info(value) for value in self._interface.input)
        self._sizes = sizes
        self._proof: Proof | None = None

    def proof(self) -> Proof:
        """Made at the first change: most clean models need none. Raises ModelError."""
        if self._proof is None:
            names = dict.fromkeys(d for one in self._inputs for d in one.dims if isinstance(d, str))
            self._proof = Proof(
                self._bytes,
                self._inputs,
                {name: list(self._sizes.get(name, (1, 2))) for name in names},
                tolerance_rel=numeric.tolerance_of(self.model),
            )
        return self._proof

    def try_pass(self, one: Pass) -> tuple[bool, str, float | None]:
        """(whether it was taken, why it was dropped, the largest error)."""
        import onnx

        reason, error, found, digest = "", None, None, self._digest
        try:
            found = one.run(self.model)
            if found is None:
                return False, "", None
            onnx_file.strip_traces(found)
            reason = self._restore_interface(found)
            digest = _digest(found)
        # Whatever a pass does wrong, the model before it is there.
        except Exception as problem:
            reason = _told(problem)
        if found is not None and not reason and digest != self._digest:
            proof = self.proof()
            try:
                reason, error = self._judge(found, digest, proof)
            except Exception as problem:
                reason = _told(problem)
            if not reason:
                return True, "", error
        self.model = onnx.load_from_string(self._bytes)
        return False, reason, error

    def _judge(
        self, found: onnx.ModelProto, digest: bytes, proof: Proof
    ) -> tuple[str, float | None]:
        """Takes the model, or says what is wrong with it."""
        import onnx

        data = found.SerializeToString()
        if len(data) > GROWTH * len(self._bytes) + FREE_BYTES:
            return f"it makes the file {len(data) - len(self._bytes)} bytes larger", None
        onnx.checker.check_model(data)
        check, outputs = proof.compare(data)
        if not check.passed:
            return _difference(check), check.max_rel_error
        proof.take(data, outputs)
        self.model, self._bytes, self._digest = found, data, digest
        return "", check.max_rel_error

    def _restore_interface(self, found: onnx.ModelProto) -> str:
        """Inputs and outputs as they were declared, unless there are others now."""
        graph, wanted = found.graph, self._interface
        for ours, theirs in ((wanted.input, _true_inputs(found)), (wanted.output, graph.output)):
            if [_kind(value) for value in ours] != [_kind(value) for value in theirs]:
                return "it changes the inputs or outputs"
        if onnx_file.opset_of(found) != self._opset:
            return "it changes the opset"
        inputs = {value.name: value for value in wanted.input}
        for value in graph.input:
            value.CopyFrom(inputs.get(value.name, value))
        del graph.output[:]
        graph.output.extend(wanted.output)
        return ""


def _true_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Those that must be fed: an initializer may be listed among the inputs too."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def _kind(value: onnx.ValueInfoProto) -> tuple[str, int]:
    return value.name, value.type.tensor_type.elem_type


def _digest(model: onnx.ModelProto) -> bytes:
    """What a model computes, without names of nodes, notes on values and the order of weights."""
    import onnx

    digest = hashlib.sha256(repr([value.name for value in model.graph.input]).encode())
    for node in model.graph.node:
        nameless = onnx.NodeProto()
        nameless.CopyFrom(node)
        nameless.ClearField("name")
        digest.update(nameless.SerializeToString(deterministic=True))
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
        digest.update(tensor.raw_data or _bytes_of(tensor))
    for function in model.functions:
        digest.update(function.SerializeToString(deterministic=True))
    return digest.digest()


def _bytes_of(tensor: onnx.TensorProto) -> bytes:
    """A tensor's data may be stored in one of several fields."""
    from onnx import numpy_helper

    if tensor.external_data or tensor.data_type == tensor.STRING:
        return bytes(tensor.SerializeToString(deterministic=True))
    return bytes(numpy_helper.to_array(tensor).tobytes())


def _difference(check: ParityCheck) -> str:
    where = check.inputs + "".join(f", {name} = {size}" for name, size in check.sizes.items())
    if check.max_rel_error <= check.tolerance_rel:
        return f"its outputs have other shapes, types, integers or places of NaN ({where})"
    return f"its outputs differ by {check.max_rel_error:.3g} of the largest output ({where})"


def _told(problem: Exception) -> str:
    if isinstance(problem, ModelError):
        return problem.what
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0][:300]}" if lines else type(problem).__name__
