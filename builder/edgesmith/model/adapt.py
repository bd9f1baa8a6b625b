"""[preprocess] becomes nodes at the head of the graph, proven against its definition in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.errors import ModelError, UsageError
from edgesmith.model import numeric, onnx_file
from edgesmith.model.preprocess import Preprocess
from edgesmith.values import ParityCheck, TensorInfo
from edgesmith.worker import preprocess as definition

if TYPE_CHECKING:
    import onnx

PARITY_SEEDS = (1, 2)


def adapt(
    path: Path, preprocess: Mapping[str, Preprocess], sizes: Mapping[str, Sequence[int]]
) -> tuple[ParityCheck, ...]:
    """Puts the preprocessing before the model in `path`, in place; returns the proofs.

    The file is compared with the model before it, fed by the definition in numpy, at each of
    `sizes` and for two draws over the whole range of what is fed. Raises ModelError when they
    differ, UsageError where an input can't be preprocessed.
    """
    bare = path.with_name(f".bare-{path.name}")
    path.rename(bare)
    try:
        model = onnx_file.load(bare, data=False)
        before = onnx_file.describe(model, bare)
        for name, steps in preprocess.items():
            _Head(model.graph, name).prepend(steps)
        onnx_file.save(model, path)
        after = onnx_file.describe_file(path)
        checks = _parity((bare, before.inputs), (path, after.inputs), preprocess, sizes)
    finally:
        bare.unlink()
    bad = numeric.worst(checks)
    if not bad.passed:
        raise ModelError(
            f"the model with its preprocessing differs from the model before it by"
            f" {bad.max_abs_error:.3g}, {bad.max_rel_error:.3g} of the largest output",
            where="[preprocess]",
            hint="check scale, mean and std: they may lead out of what float32 can hold",
        )
    return checks


class _Head:
    """Builds the nodes between a graph's input and what used it."""

    def __init__(self, graph: onnx.GraphProto, name: str) -> None:
        self._graph, self._name, self._current = graph, name, name
        self._nodes: list[Any] = []
        self._taken = {v.name for part in (graph.input, graph.initializer) for v in part}
        for node in graph.node:
            self._taken |= {*node.input, *node.output}

    def prepend(self, steps: Preprocess) -> None:
        """Adds the steps and changes the input to what is fed."""
        inner = self._fresh(f"{self._name}_preprocessed")
        self._redirect(inner)
        std = np.asarray(steps.std, np.float64)
        factor = (steps.scale / std).astype(np.float32)
        offset = (-np.asarray(steps.mean, np.float64) / std).astype(np.float32)
        if steps.permutation is not None:
            self._then("Transpose", perm=list(steps.permutation))
        if steps.dtype != "float32":
            self._then("Cast", to=_element_type("float32"))
        if (factor != 1).any():
            self._then("Mul", factor)
        if (offset != 0).any():
            self._then("Add", offset)
        if steps.to != "float32":
            self._then("Cast", to=_element_type(steps.to))
        if not self._nodes:
            self._then("Identity")
        self._nodes[-1].output[0] = inner
        for index, node in enumerate(self._nodes):
            self._graph.node.insert(index, node)
        self._retype(steps)

    def _redirect(self, inner: str) -> None:
        if any(output.name == self._name for output in self._graph.output):
            raise UsageError(
                f"the input '{self._name}' is an output of the model as it stands",
                where=f"preprocess.{self._name}",
                hint="leave this table out",
            )
        for node in self._graph.node:
            for index, used in enumerate(node.input):
                if used == self._name:
                    node.input[index] = inner

    def _then(
        self, kind: str, constant: np.ndarray[Any, Any] | None = None, **attributes: Any
    ) -> None:
        from onnx import helper, numpy_helper

        inputs = [self._current]
        if constant is not None:
            key = self._fresh(f"{self._name}_{kind.lower()}")
            shape = () if constant.size == 1 else (-1, 1, 1)
            self._graph.initializer.append(numpy_helper.from_array(constant.reshape(shape), key))
            inputs.append(key)
        self._current = self._fresh(f"{self._name}_after_{kind.lower()}")
        label = f"preprocess/{self._name}/{kind}"
        self._nodes.append(
            helper.make_node(kind, inputs, [self._current], name=label, **attributes)
        )

    def _retype(self, steps: Preprocess) -> None:
        from onnx import helper

        info = next(one for one in self._graph.input if one.name == self._name)
        shape = steps.fed_shape(onnx_file.tensor_info(info).dims)
        info.CopyFrom(helper.make_tensor_value_info(self._name, _element_type(steps.dtype), shape))

    def _fresh(self, name: str) -> str:
        """`name`, or `name_1` ... where that is taken."""
        candidate, number = name, 0
        while candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._taken.add(candidate)
        return candidate


def _element_type(dtype: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _parity(
    bare: tuple[Path, tuple[TensorInfo, ...]],
    adapted: tuple[Path, tuple[TensorInfo, ...]],
    preprocess: Mapping[str, Preprocess],
    sizes: Mapping[str, Sequence[int]],
) -> tuple[ParityCheck, ...]:
    names = dict.fromkeys(d for one in bare[1] for d in one.dims if isinstance(d, str))
    values = {name: tuple(sizes.get(name, (1, 2))) for name in names}
    half = any(steps.to == "float16" for steps in preprocess.values())
    tolerance = numeric.HALF_TOLERANCE_REL if half else numeric.FLOAT_TOLERANCE_REL
    chosen = [
        {name: found[number % len(found)] for name, found in values.items()}
        for number in range(max(map(len, values.values()), default=1))
    ]
    draws = [(one, seed) for one in chosen for seed in PARITY_SEEDS]
    fed = [numeric.random_feeds(adapted[1], one, seed=seed) for one, seed in draws]
    steps = {name: one.as_json() for name, one in preprocess.items()}
    prepared = [
        {name: definition.apply(array, steps.get(name)) for name, array in one.items()}
        for one in fed
    ]
    wanted = numeric.outputs_of(bare[0], prepared, shown_as="the exported model")
    found = numeric.outputs_of(adapted[0], fed, shown_as="the model with [preprocess]")
    return tuple(
        numeric.compare(
            before,
            after,
            against="the model without [preprocess]",
            inputs=f"random draw {seed}",
            sizes=one,
            tolerance_rel=tolerance,
        )
        for (one, seed), before, after in zip(draws, wanted, found, strict=True)
    )
