"""What shows that a model in FP16 computes what it did: on the calibration samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.data.samples import Samples
from edgesmith.errors import ModelError
from edgesmith.model import numeric
from edgesmith.quantize.half.result import OutputMatch
from edgesmith.quantize.metrics import sqnr_db

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

_HINT = (
    "name the nodes before it in [quantize] exclude, which keeps them in float, or set [quantize]"
    ' precision = "fp32"'
)


@dataclass(kw_only=True)
class _Agreement:
    """One output's, added up over samples."""

    signal: float = 0.0
    noise: float = 0.0
    equal: int = 0
    count: int = 0
    is_float: bool = True
    fits: bool = True

    def add(self, wanted: Array, found: Array) -> bool:
        """Takes one sample's; whether what is finite in FP32 is finite."""
        self.is_float = wanted.dtype.kind == "f"
        if wanted.shape != found.shape:
            self.fits = False
            return bool(np.isfinite(found).all()) if self.is_float else True
        if not self.is_float:
            self.equal += int((wanted == found).sum())
            self.count += wanted.size
            return True
        finite = np.isfinite(wanted)
        if not np.isfinite(found[finite]).all():
            return False
        reference = wanted[finite].astype(np.float64)
        self.signal += float((reference**2).sum())
        self.noise += float(((reference - found[finite]) ** 2).sum())
        return True

    def match(self, name: str) -> OutputMatch:
        ratio = sqnr_db(self.signal, self.noise) if self.fits and self.is_float else None
        share = self.equal / self.count if self.count and self.fits else None
        return OutputMatch(output=name, sqnr_db=ratio, equal=share)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Against the float model in `reference`, with `samples`."""

    reference: Path
    samples: Path
    threads: int = 0
    _matches: list[tuple[OutputMatch, ...]] = field(default_factory=list)

    def require(self, model: Path | bytes) -> None:
        """Takes another form of the model; raises ModelError where it gives no numbers."""
        wanted = numeric.open_session(self.reference, threads=self.threads)
        found = numeric.open_session(model, threads=self.threads)
        taken = {one.name for one in found.get_inputs()}
        sums: dict[str, _Agreement] = {}
        for index, sample in enumerate(Samples(self.samples).feeds()):
            feeds = {name: array for name, array in sample.items() if name in taken}
            shown = f"calibration sample {index}"
            references = numeric.run_session(wanted, feeds, shown_as=shown)
            for name, array in numeric.run_session(found, feeds, shown_as=shown).items():
                if not sums.setdefault(name, _Agreement()).add(references[name], array):
                    raise _not_finite(name, shown)
        self._matches.append(tuple(one.match(name) for name, one in sums.items()))

    def worst(self) -> tuple[OutputMatch, ...]:
        """Each output's as it agrees least in what was taken."""
        return tuple(map(_worse, zip(*self._matches, strict=True)))


def _worse(matches: Sequence[OutputMatch]) -> OutputMatch:
    def rank(match: OutputMatch) -> float:
        value = match.equal if match.sqnr_db is None else match.sqnr_db
        return -np.inf if value is None else value

    return min(matches, key=rank)


def _not_finite(name: str, shown: str) -> ModelError:
    return ModelError(
        f"in FP16 the output '{name}' is not finite where FP32 gives numbers: {shown}",
        where="quantize.precision",
        hint=_HINT,
    )


def weakest(matches: Sequence[OutputMatch]) -> Mapping[str, float]:
    """The SQNR of float outputs, in dB."""
    return {one.output: one.sqnr_db for one in matches if one.sqnr_db is not None}
