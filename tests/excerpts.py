"""Output excerpts of the docs: found with their command, and made comparable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:<!-- output of: (?P<command>[^\n]*?) -->\n)?```(?:text|console)?\n(?P<text>.*?)```",
    re.DOTALL,
)
# What differs between machines and runs, in this order.
_MASKS = (
    (re.compile(r"\b\d{8}T\d{6}Z\b"), "#"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,64}\b"), "#"),
    (re.compile(r"(?<![\w-])-?\d+(?:[.,:-]\d+)*(?:e[+-]?\d+)?"), "#"),
    (re.compile(r"# (?:ns|µs|ms|s|B|kB|MB|GB)\b"), "# unit"),
    # A percentile of which there are too few samples: more where the processes differ.
    (re.compile(r"\bneeds # samples"), "# unit [#, #]"),
    (re.compile(r"(?<=device )(?!#).*?(?= bundle )"), "this machine"),
    (re.compile(r"\b(?:valid|noisy|throttled|uncontrolled)\b"), "verdict"),
    (re.compile(r"report /?\S.*\.json"), "report FILE"),
    (re.compile(r"^\S.*/bundle(?= bundle #)"), "FOLDER"),
)
# Paragraphs that tell about the machine, and are not there on every one; what is decided hangs on
# the times of the moment.
_OF_THE_MACHINE = ("conditions", "decision")


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """An excerpt and the command that it says to be of; empty when it does not say."""

    page: str
    command: str
    text: str


def excerpts(page: Path) -> list[Excerpt]:
    """The blocks of a page that are no source text: no language, or `text`, or `console`."""
    return [
        Excerpt(page=page.name, command=found["command"] or "", text=found["text"])
        for found in _BLOCK.finditer(_without_sources(page.read_text(encoding="utf-8")))
    ]


def _without_sources(text: str) -> str:
    """The page without blocks that name a language."""
    languages = r"```(?!text\n|console\n)\w+\n.*?```"
    return re.sub(languages, "", text, flags=re.DOTALL)


def masked(text: str) -> list[str]:
    """The paragraphs on one line each, with all figures, ids, times and paths masked."""
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    return [_mask(one) for one in paragraphs if not one.startswith(_OF_THE_MACHINE)]


def _mask(text: str) -> str:
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text
