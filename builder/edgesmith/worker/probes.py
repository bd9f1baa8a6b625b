"""The inputs on which an exported model must agree with PyTorch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .signature import Interface, Leaf

Array = np.ndarray[Any, Any]

MAX_SIZE_COMBINATIONS = 16
# Two draws for every combination of sizes: one agreement could be luck.
SEEDS = (1, 2)
_IMAGE_RANK = 3
_LARGE = 1e3
# Sizes that nothing else has: what a trace took for a constant shows at them.
_LARGER_SIZES = (37, 31, 29, 23, 19, 17, 13, 11, 7, 5, 3)
_MOST_ELEMENTS = 1 << 19
# What integers are drawn below when nothing tells their range and PyTorch may refuse them.
_SMALL_COUNT = 10
_EXTREMES = (
    "lowest", "highest", "zeros", "large values", "negative values", "integers",
    "negative integers",
)  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """One set of arrays. An `optional` one counts only where PyTorch itself can answer it, an
    `extreme` one only where that answer does not hang on the last digit of the input."""

    inputs: str
    sizes: Mapping[str, int]
    arrays: list[Array]
    extreme: bool = False
    optional: bool = False

    @property
    def elements(self) -> int:
        return sum(array.size for array in self.arrays)


def size_combinations(sizes: Mapping[str, Sequence[int]]) -> list[dict[str, int]]:
    """Combinations of the dynamic dimensions' sizes, at most MAX_SIZE_COMBINATIONS.

    Each single size is among them even where that takes more.
    """
    combined = itertools.islice(itertools.product(*sizes.values()), MAX_SIZE_COMBINATIONS)
    chosen = [dict(zip(sizes, values, strict=True)) for values in combined]
    for name, values in sizes.items():
        for value in values:
            if not any(one[name] == value for one in chosen):
                chosen.append({n: value if n == name else v[0] for n, v in sizes.items()})
    return chosen


def chosen_sizes(interface: Interface, asked: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Sizes for every dynamic dimension: declared, else from the source's range, else 1 and 2."""
    sizes = {}
    for name in interface.dimensions():
        low, high = interface.ranges.get(name, (1, None))
        low = max(low, 1)
        default = [low] if high == low else [low, low + 1]
        step = interface.steps.get(name)
        if step is not None:
            default = [step(1), step(2)]
        sizes[name] = list(asked.get(name) or default)
    return sizes


def larger_sizes(interface: Interface, asked: Mapping[str, list[int]]) -> dict[str, int] | None:
    """Other sizes than any that is tried, for the dimensions whose sizes nobody declared.

    A branch on a size shows at them. None where nothing is left open, or where the inputs would
    have more than half a million elements at three times the smallest size.
    """
    open_ones = [name for name in interface.dimensions() if name not in asked]
    declared = {name: max(given) for name, given in asked.items()}
    fixed = {name: declared[name] for name in interface.dimensions() if name in declared}
    for start in range(len(_LARGER_SIZES)):
        chosen = dict(fixed)
        for index, name in enumerate(open_ones):
            size = _LARGER_SIZES[min(start + index, len(_LARGER_SIZES) - 1)]
            low, high = interface.ranges.get(name, (1, None))
            step = interface.steps.get(name)
            chosen[name] = max(low, size if high is None else min(size, high))
            chosen[name] = chosen[name] if step is None else step(size)
        complete = interface.complete(chosen)
        shapes = [_shape(leaf, complete) for leaf in interface.leaves]
        if open_ones and sum(math.prod(shape) for shape in shapes) <= _MOST_ELEMENTS:
            return complete
    return None


def probes(
    interface: Interface,
    sizes: Mapping[str, Sequence[int]],
    larger: Mapping[str, int] | None = None,
) -> Iterator[Probe]:
    """The given inputs, two draws at every combination of sizes, one at `larger` sizes, and
    extreme values."""
    leaves = interface.leaves
    if leaves and all(one.example is not None for one in leaves):
        yield Probe("the given inputs", _example_sizes(leaves), [_given(leaf) for leaf in leaves])
    combinations = [interface.complete(one) for one in size_combinations(sizes)]
    for one, seed in itertools.product(combinations, SEEDS):
        yield Probe(f"random draw {seed}", one, draw(leaves, one, seed=seed))
    if larger is not None and larger not in combinations:
        yield Probe("larger sizes", larger, draw(leaves, larger, seed=1), optional=True)
    for name in _EXTREMES:
        arrays = _extreme(leaves, combinations[0], name)
        if arrays is not None:
            shown = {"lowest": "lowest values", "highest": "highest values"}.get(name, name)
            yield Probe(shown, combinations[0], arrays, extreme=True)


def _given(leaf: Leaf) -> Array:
    assert leaf.example is not None
    return leaf.example


def _example_sizes(leaves: Sequence[Leaf]) -> dict[str, int]:
    return {
        dim: int(size)
        for leaf in leaves
        for dim, size in zip(leaf.shape, _given(leaf).shape, strict=True)
        if isinstance(dim, str)
    }


def draw(leaves: Sequence[Leaf], sizes: Mapping[str, int], *, seed: int) -> list[Array]:
    """An array for each leaf: within its range, else standard normal or integers of the example's
    range, else 0 and 1, since integers may be indices; bytes of images take all their values."""
    generator = np.random.default_rng(seed)
    return [_drawn(leaf, _shape(leaf, sizes), generator) for leaf in leaves]


def with_given_integers(leaves: Sequence[Leaf], probe: Probe) -> Probe | None:
    """The probe with the example's integers: drawn ones need not be what forward() takes, such as
    offsets that must rise. None where that changes nothing."""
    given = [_given_integers(leaf, a) for leaf, a in zip(leaves, probe.arrays, strict=True)]
    if all(one is None for one in given):
        return None
    arrays = [a if one is None else one for one, a in zip(given, probe.arrays, strict=True)]
    return replace(probe, arrays=arrays, inputs=f"{probe.inputs} with the given integers")


def _given_integers(leaf: Leaf, drawn: Array) -> Array | None:
    example = leaf.example
    if example is None or leaf.range is not None or drawn.dtype.kind not in "iu":
        return None
    fits = example.shape == drawn.shape and not np.array_equal(example, drawn)
    return example if fits else None


def _shape(leaf: Leaf, sizes: Mapping[str, int]) -> list[int]:
    return [sizes[d] if isinstance(d, str) else d for d in leaf.shape]


def _drawn(leaf: Leaf, shape: list[int], generator: np.random.Generator) -> Array:
    dtype = np.dtype(leaf.dtype)
    if dtype.kind == "b":
        return np.asarray(generator.random(shape) > 0.5)
    if dtype.kind == "f":
        if leaf.range is not None:
            return np.asarray(generator.uniform(*leaf.range, shape)).astype(dtype)
        return np.asarray(generator.standard_normal(shape)).astype(dtype)
    low, high = _integers(leaf, dtype)
    return np.asarray(generator.integers(low, high, shape, dtype, endpoint=True))


def _integers(leaf: Leaf, dtype: np.dtype[Any]) -> tuple[int, int]:
    if leaf.range is not None:
        return int(leaf.range[0]), int(leaf.range[1])
    if leaf.example is not None and leaf.example.size:
        return int(leaf.example.min()), int(leaf.example.max())
    if dtype.itemsize == 1 and len(leaf.shape) >= _IMAGE_RANK:
        limits = np.iinfo(dtype)
        return int(limits.min), int(limits.max)
    return 0, 1


def _extreme(leaves: Sequence[Leaf], sizes: Mapping[str, int], name: str) -> list[Array] | None:
    """Arrays of one kind of extreme values; None where they are no other than those drawn."""
    generator = np.random.default_rng(3)
    bounded = [leaf.range is not None for leaf in leaves]
    free_floats = any(
        np.dtype(leaf.dtype).kind == "f" and not bound
        for leaf, bound in zip(leaves, bounded, strict=True)
    )
    free_integers = any(
        np.dtype(leaf.dtype).kind in "iu" and not bound
        for leaf, bound in zip(leaves, bounded, strict=True)
    )
    wanted = {
        "lowest": any(bounded),
        "highest": any(bounded),
        "integers": free_integers,
        "negative integers": free_integers
        and any(np.dtype(leaf.dtype).kind == "i" and leaf.range is None for leaf in leaves),
    }.get(name, free_floats)
    if not wanted:
        return None
    return [_at_extreme(leaf, _shape(leaf, sizes), name, generator) for leaf in leaves]


def _at_extreme(leaf: Leaf, shape: list[int], name: str, generator: np.random.Generator) -> Array:
    dtype = np.dtype(leaf.dtype)
    plain = _drawn(leaf, shape, generator)
    if leaf.range is not None:
        bound = {"lowest": leaf.range[0], "highest": leaf.range[1]}.get(name)
        return plain if bound is None else np.full(shape, bound, dtype)
    if dtype.kind == "f":
        match name:
            case "zeros":
                return np.zeros(shape, dtype)
            case "large values":
                return np.asarray(plain * _LARGE, dtype)
            case "negative values":
                return np.asarray(-np.abs(plain), dtype)
        return plain
    if dtype.kind == "b":
        # A mask of zeros alone leaves nothing to answer with: it stays as drawn.
        return np.ones(shape, dtype) if name == "large values" else plain
    if name == "negative integers" and dtype.kind == "i":
        # -1 first: divisions that round to zero instead of down show at it.
        values = -1 - np.arange(math.prod(shape)) % (_SMALL_COUNT - 1)
        return values.reshape(shape).astype(dtype)
    if name != "integers":
        return plain
    high = max(_SMALL_COUNT - 1, 2 * _integers(leaf, dtype)[1] + 1)
    high = min(high, int(np.iinfo(dtype).max))
    return np.asarray(generator.integers(0, high, shape, dtype, endpoint=True))


def nearby(arrays: Sequence[Array]) -> list[Array]:
    """The same inputs, moved by about the rounding error of float32."""
    generator = np.random.default_rng(4)
    return [_moved(array, generator) if array.dtype.kind == "f" else array for array in arrays]


def _moved(array: Array, generator: np.random.Generator) -> Array:
    noise = np.asarray(generator.standard_normal(array.shape))
    return np.asarray(array + (np.abs(array) * 3e-7 + 1e-7) * noise, array.dtype)
