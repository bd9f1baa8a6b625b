"""Foreign names as C++ identifiers: legal, no keyword, and no two alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# fmt: off
_KEYWORDS = frozenset({
    "EOF", "NULL", "alignas", "alignof", "and", "and_eq", "asm", "assert", "auto", "bitand",
    "bitor", "bool", "break", "case", "catch", "char", "char16_t", "char32_t", "char8_t", "class",
    "co_await", "co_return", "co_yield", "compl", "concept", "const", "const_cast", "consteval",
    "constexpr", "constinit", "continue", "decltype", "default", "delete", "do", "double",
    "dynamic_cast", "edgesmith", "else", "enum", "errno", "explicit", "export", "extern", "false",
    "final", "float", "for", "friend", "goto", "if", "import", "inline", "int", "linux", "long",
    "main", "module", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr",
    "operator", "or", "or_eq", "override", "private", "protected", "public", "register",
    "reinterpret_cast", "requires", "return", "short", "signed", "sizeof", "static",
    "static_assert", "static_cast", "std", "stderr", "stdin", "stdout", "struct", "switch",
    "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid", "typename",
    "union", "unix", "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while",
    "xor", "xor_eq",
})
# fmt: on
_MAX_LENGTH = 48


def identifier(name: str) -> str:
    """A C++ identifier that resembles `name`; equal for names that differ in symbols only."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_MAX_LENGTH].rstrip("_")
    if not words:
        words = "unnamed"
    if words[0].isdigit():
        words = f"n{words}"
    return f"{words}_" if words in _KEYWORDS else words


class Identifiers:
    """Hands out identifiers that are unique among themselves and the reserved ones."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)

    def take(self, name: str, *, suffixes: Iterable[str] = ("",)) -> str:
        """An identifier for `name`; it stays free when any of `suffixes` is appended to it."""
        base = identifier(name)
        candidate, number = base, 1
        endings = tuple(suffixes)
        while any(candidate + ending in self._taken for ending in endings):
            number += 1
            candidate = f"{base.rstrip('_')}_{number}"
        self._taken.update(candidate + ending for ending in endings)
        return candidate
