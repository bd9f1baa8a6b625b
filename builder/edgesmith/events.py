"""The one event stream: stages say what happens, subscribers decide how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Level = Literal["debug", "info", "warning"]


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """A stage begins; `target` is None for stages done once for all targets."""

    stage: str
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class StageFinished:
    """A stage's result is in place. `status` is `cached` when nothing had to run."""

    stage: str
    status: Literal["ran", "cached", "would-run"]
    seconds: float
    key: str
    folder: str
    target: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` units of the running stage; `total` 0 when it is not known."""

    stage: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """A line of talk; never a result."""

    level: Level
    text: str


Event = StageStarted | StageFinished | Progress | Message
Subscriber = Callable[[Event], None]


class EventStream:
    """Hands each event to every subscriber, in the order they came."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber(event)

    def info(self, text: str) -> None:
        self.emit(Message(level="info", text=text))

    def debug(self, text: str) -> None:
        self.emit(Message(level="debug", text=text))

    def warning(self, text: str) -> None:
        self.emit(Message(level="warning", text=text))
