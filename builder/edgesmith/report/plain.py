"""Text for terminals: foreign strings made harmless, widths, colours, an ASCII form."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

Colour = Literal["bold", "dim", "red", "green", "yellow"]

_CODES: dict[Colour, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
}
_LONGEST_STRING = 400

# Control, format (bidirectional overrides), surrogate, line and paragraph separators: all that
# can move the cursor, hide text or reorder it.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ASCII = {"µ": "u", "≤": "<=", "×": "x", "–": "-", "…": "..."}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How text is written: whether with colours, whether in ASCII only, how wide."""

    colour: bool = False
    ascii_only: bool = False
    width: int = 100

    def paint(self, text: str, colour: Colour) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour else text

    def encode(self, text: str) -> str:
        """The text in what the terminal can show."""
        if not self.ascii_only:
            return text
        for mark, plain in _ASCII.items():
            text = text.replace(mark, plain)
        return text.encode("ascii", "replace").decode("ascii")


def clean(text: str) -> str:
    """A foreign string without anything that a terminal would act on, on one line."""
    kept = [" " if _is_break(c) else c for c in text[: _LONGEST_STRING + 1]]
    shown = "".join(c for c in kept if unicodedata.category(c) not in _HARMFUL)
    return shown if len(shown) <= _LONGEST_STRING else shown[: _LONGEST_STRING - 1] + "…"


def printable(text: str) -> str:
    """Lines of text with control characters shown as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def cleaned(value: Any) -> Any:
    """A JSON value with every string in it, keys too, made harmless."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(k): cleaned(v) for k, v in value.items()}
        case list():
            return [cleaned(v) for v in value]
        case _:
            return value


def display_width(text: str) -> int:
    """Columns that `text` takes on a terminal, colours not counted."""
    columns, inside_code = 0, False
    for char in text:
        if char == "\x1b":
            inside_code = True
        elif inside_code:
            inside_code = char != "m"
        elif not unicodedata.combining(char):
            columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled with spaces to `width` columns."""
    space = " " * max(0, width - display_width(text))
    return space + text if right else text + space


def wrap(text: str, width: int, *, indent: str = "", first: str | None = None) -> list[str]:
    """`text` in lines of at most `width` columns; words longer than that stand alone."""
    lines, line = [], indent if first is None else first
    empty = True
    for word in text.split():
        if not empty and display_width(line) + 1 + display_width(word) > width:
            lines.append(line)
            line, empty = indent, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def _is_break(char: str) -> bool:
    return char in "\r\n\t\v\f\x85\u2028\u2029"
