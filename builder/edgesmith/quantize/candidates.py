"""What quantization tried, and which of it becomes the default variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.quantize.half.result import HalfModel
from edgesmith.quantize.judging import Judgement
from edgesmith.quantize.quantizer import Int8Model
from edgesmith.quantize.variants import DYNAMIC, HALF
from edgesmith.values import to_record


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that was made with one method; a dynamic one has no `model`."""

    method: str
    path: Path
    judgement: Judgement
    loss: float
    model: Int8Model | HalfModel | None = None

    @property
    def variant(self) -> str:
        if isinstance(self.model, HalfModel):
            return HALF
        return "int8" if self.model else DYNAMIC

    def told(self) -> dict[str, Any]:
        """As it stands in the quantization report."""
        return {
            "method": self.method,
            "accuracy_loss": self.loss,
            "metrics": [to_record(one) for one in self.judgement.metrics],
        }


def chosen_of(tried: Sequence[Candidate], budget: float) -> Candidate | None:
    """The first that is within the budget, else what loses least; static INT8 stands first."""
    fitting = [candidate for candidate in tried if candidate.loss <= budget]
    return fitting[0] if fitting else min(tried, key=lambda c: c.loss, default=None)
