"""A point in time that is passed down, so that steps share one limit instead of adding up."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgesmith.errors import DeviceError


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """`at_s` on the monotonic clock; `allowed_s` is what was allowed in all."""

    at_s: float
    allowed_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(at_s=time.monotonic() + seconds, allowed_s=seconds)

    def remaining_s(self, doing: str) -> float:
        """Seconds left, more than 0; raises DeviceError that names what was being done."""
        left = self.at_s - time.monotonic()
        if left <= 0:
            raise self.over(doing)
        return left

    def over(self, doing: str) -> DeviceError:
        """What is raised when the time is over."""
        return DeviceError(
            f"the time allowed ({self.allowed_s:g} s) was over: {doing}",
            hint="see whether the device is busy or hangs, then run the command again",
        )

    def at_most(self, seconds: float) -> Deadline:
        """This limit, or one in `seconds` when that comes first."""
        sooner = Deadline.after(seconds)
        return sooner if sooner.at_s < self.at_s else self
