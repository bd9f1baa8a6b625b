"""The same action on several devices: one that fails never hides another's result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgesmith.errors import EdgesmithError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Attempt(Generic[T]):
    """What came out on one device: either a value or an error."""

    device: str
    value: T | None
    error: EdgesmithError | None


def attempt_each(names: Iterable[str], act: Callable[[str], T]) -> tuple[Attempt[T], ...]:
    """Tries `act` on each device in turn; only expected errors are kept, bugs go on up."""
    return tuple(_attempt(name, act) for name in names)


def smallest_failure(codes: Iterable[int]) -> int:
    """The smallest exit code that is not 0, or 0."""
    return min((code for code in codes if code), default=0)


def _attempt(name: str, act: Callable[[str], T]) -> Attempt[T]:
    try:
        return Attempt(device=name, value=act(name), error=None)
    except EdgesmithError as error:
        return Attempt(device=name, value=None, error=error)
