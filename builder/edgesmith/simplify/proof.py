"""Whether a changed model still answers as the one before it, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
_AS_WRITTEN = SessionOptions(graph_optimization_level="none")


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
        random = _random_draws(inputs, sizes)
        self._random = len(random)
        outputs = [self._run(session, draw.feeds) for draw in random]
        for draw in _extreme_draws(random[0]):
            found = self._run(session, draw.feeds)
            if self._is_steady(found, self._run(session, _nudged(draw.feeds))):
                random.append(draw)
                outputs.append(found)
        self._draws, self._first, self._last = random, outputs, outputs

    def compare(self, model: bytes) -> tuple[ParityCheck, list[Arrays]]:
        """The worst comparison with the last model taken, and the outputs for `take`."""
        session = numeric.open_session(model, _AS_WRITTEN)
        outputs = [self._run(session, draw.feeds) for draw in self._draws]
        checks = self._checks(self._last, outputs, against="the model before the pass")
        return numeric.worst(checks), outputs

    def take(self, outputs: list[Arrays]) -> None:
        """The model with these outputs is what the next one is compared with."""
        self._last = outputs

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
            for draw, one, other in zip(self._draws, expected, found, strict=True)
        )

    def _run(self, session: Any, feeds: Arrays) -> Arrays:
        return numeric.run_session(session, feeds, shown_as="the model")

    def _is_steady(self, found: Arrays, nudged: Arrays) -> bool:
        import numpy as np

        finite = all(np.isfinite(v).all() for v in found.values() if v.dtype.kind == "f")
        check = numeric.compare(
            found, nudged, against="", inputs="", sizes={}, tolerance_rel=self._tolerance
        )
        return finite and check.passed


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
