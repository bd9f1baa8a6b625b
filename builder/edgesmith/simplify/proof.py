"""Whether a changed model still answers as the one before it, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError
from edgesmith.model import numeric
from edgesmith.values import ParityCheck, SessionOptions, TensorInfo

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

# Larger than any bound or step that networks have in them, such as that of a ReLU6.
LARGE = 1e3
# A draw on which a change of the inputs by so many last digits moves the outputs visibly
# proves nothing.
_NUDGE_DIGITS = 8
# Without the runtime's own optimizations, which would do to both models what a pass did to
# one: what is compared is the graph as it is written.
_AS_WRITTEN = SessionOptions(graph_optimization_level="disable")


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Inputs, and how they came about."""

    inputs: str
    sizes: Mapping[str, int]
    feeds: Arrays


class Proof:
    """The draws, and the outputs of the last model that was taken and of the first one."""

    def __init__(
        self,
        model: bytes,
        inputs: tuple[TensorInfo, ...],
        sizes: Mapping[str, Sequence[int]],
        *,
        tolerance_rel: float,
    ) -> None:
        self._tolerance = tolerance_rel
        session = numeric.open_session(model, _AS_WRITTEN)
        self._draws = _random_draws(inputs, sizes)
        self._random = len(self._draws)
        outputs = [self._run(session, draw.feeds) for draw in self._draws]
        for draw in _extreme_draws(self._draws[0]):
            found = self._run_extreme(session, draw)
            if found is not None:
                self._draws.append(draw)
                outputs.append(found)
        self._model, self._first, self._last = model, list(outputs), outputs

    def compare(self, model: bytes) -> tuple[ParityCheck, list[Arrays]]:
        """The worst comparison with the last model taken, and the outputs for `take`."""
        session = numeric.open_session(model, _AS_WRITTEN)
        outputs = [self._run(session, draw.feeds) for draw in self._draws]
        checks = self._checks(self._last, outputs, against="the model before the pass")
        unsteady = [
            index
            for index, check in enumerate(checks)
            if index >= self._random and not check.passed and not self._is_steady(index)
        ]
        for index in reversed(unsteady):
            for part in (self._draws, self._first, self._last, outputs):
                del part[index]
        kept = [check for index, check in enumerate(checks) if index not in unsteady]
        return numeric.worst(tuple(kept)), outputs

    def take(self, model: bytes, outputs: list[Arrays]) -> None:
        """The model with these outputs is what the next one is compared with."""
        self._model, self._last = model, outputs

    def against_first(self) -> tuple[ParityCheck, ...]:
        """The last model taken against the first, on the random draws."""
        checks = self._checks(self._first, self._last, against="the exported model")
        return checks[: self._random]

    def _checks(
        self, expected: list[Arrays], found: list[Arrays], *, against: str
    ) -> tuple[ParityCheck, ...]:
        return tuple(
            numeric.compare(
                one,
                other,
                against=against,
                inputs=draw.inputs,
                sizes=draw.sizes,
                tolerance_rel=self._tolerance,
            )
            for draw, one, other in zip(self._draws, expected, found, strict=False)
        )

    def _run(self, session: Any, feeds: Arrays) -> Arrays:
        return numeric.run_session(session, feeds, shown_as="the model")

    def _run_extreme(self, session: Any, draw: Draw) -> Arrays | None:
        """The outputs; None where the model fails on such inputs, or answers without bounds."""
        import numpy as np

        try:
            found = self._run(session, draw.feeds)
        except ModelError:
            return None
        finite = all(np.isfinite(v).all() for v in found.values() if v.dtype.kind == "f")
        return found if finite else None

    def _is_steady(self, index: int) -> bool:
        """Whether the last model answers nearly the same to nearly the same inputs."""
        session = numeric.open_session(self._model, _AS_WRITTEN)
        nudged = self._run(session, _nudged(self._draws[index].feeds))
        (check,) = self._checks(self._last[index : index + 1], [nudged], against="itself")
        return check.passed


def _random_draws(inputs: tuple[TensorInfo, ...], sizes: Mapping[str, Sequence[int]]) -> list[Draw]:
    rounds = max((len(values) for values in sizes.values()), default=1)
    draws = []
    for number in range(rounds):
        chosen = {name: values[number % len(values)] for name, values in sizes.items()}
        feeds = numeric.random_feeds(inputs, chosen, seed=number)
        draws.append(Draw(inputs=f"random draw {number + 1}", sizes=chosen, feeds=feeds))
    return draws


def _extreme_draws(random: Draw) -> list[Draw]:
    """Large and zero values; integers stay, since they may be indices."""
    import numpy as np

    if not any(array.dtype.kind == "f" for array in random.feeds.values()):
        return []

    def scaled(name: str, factor: float) -> Draw:
        feeds = {
            key: np.asarray(array * factor, array.dtype) if array.dtype.kind == "f" else array
            for key, array in random.feeds.items()
        }
        return Draw(inputs=name, sizes=random.sizes, feeds=feeds)

    return [scaled("large values", LARGE), scaled("zeros", 0.0)]


def _nudged(feeds: Arrays) -> Arrays:
    import numpy as np

    generator = np.random.default_rng(0)

    def nudge(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        noise = generator.standard_normal(array.shape) * np.maximum(np.abs(array), 1.0)
        step = _NUDGE_DIGITS * float(np.finfo(array.dtype).eps)
        return np.asarray(array + step * noise, array.dtype)

    return {name: nudge(array) for name, array in feeds.items()}
