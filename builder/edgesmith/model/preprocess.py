"""What an input gets before the model: [preprocess], checked against the model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgesmith.errors import UsageError
from edgesmith.project.project import Project
from edgesmith.project.settings import PreprocessSettings
from edgesmith.values import TensorInfo

# From the fed axes to the model's: what Transpose takes.
_TO_CHANNELS_FIRST = {"NHWC": (0, 3, 1, 2), "HWC": (2, 0, 1)}
_FLOATS = ("float32", "float16")


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """What one input gets before the model; `permutation` is that of ONNX Transpose.

    The model's axes are channels first: the third axis from the end holds the channels.
    """

    dtype: str
    permutation: tuple[int, ...] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    to: str

    def fed_shape(self, shape: Sequence[int | str]) -> list[int | str]:
        """The shape that is fed, for the shape that the model takes."""
        return fed_shape(shape, self.permutation)

    def as_json(self) -> dict[str, Any]:
        """The form that the worker takes."""
        return {
            "dtype": self.dtype,
            "permutation": list(self.permutation) if self.permutation else None,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "to": self.to,
        }


def fed_shape(shape: Sequence[int | str], permutation: Sequence[int] | None) -> list[int | str]:
    """The shape before a Transpose by `permutation` that leads to `shape`."""
    if permutation is None:
        return list(shape)
    fed: list[int | str] = [0] * len(shape)
    for axis, source in enumerate(permutation):
        fed[source] = shape[axis]
    return fed


def preprocess_of(project: Project, inputs: Sequence[TensorInfo]) -> dict[str, Preprocess]:
    """The preprocessing of each input that has one; raises UsageError where it does not fit."""
    known = {one.name: one for one in inputs}
    found = {}
    for name, settings in project.settings.preprocess.items():
        where = f"{project.file}, preprocess.{name}"
        if name not in known:
            raise UsageError(
                f"the model has no input '{name}'; it has: {', '.join(known)}",
                where=where,
                hint="use the model's names",
            )
        found[name] = _checked(settings, known[name], where)
    return found


def _checked(settings: PreprocessSettings, info: TensorInfo, where: str) -> Preprocess:
    layout = settings.from_.layout
    if info.dtype not in _FLOATS:
        raise UsageError(
            f"the model takes {info.dtype}; preprocessing gives float32 or float16",
            where=where,
            hint="leave this table out, or let the model take floats",
        )
    if layout is not None and len(layout) != len(info.dims):
        raise UsageError(
            f"the layout {layout} has {len(layout)} axes, the model's input"
            f" {list(info.dims)} has {len(info.dims)}",
            where=f"{where}.from.layout",
            hint="name the layout with as many axes, or leave it out",
        )
    channels = info.dims[-3] if len(info.dims) >= 3 else None
    for key, numbers in (("mean", settings.mean), ("std", settings.std)):
        if len(numbers) > 1 and channels != len(numbers):
            raise UsageError(
                f"{len(numbers)} numbers, where the model's input {list(info.dims)} has"
                f" {channels or 'no'} channels",
                where=f"{where}.{key}",
                hint="give one number, or one for each channel",
            )
    return Preprocess(
        dtype=settings.from_.dtype,
        permutation=_TO_CHANNELS_FIRST.get(layout or ""),
        scale=settings.scale,
        mean=settings.mean,
        std=settings.std,
        to=info.dtype,
    )
