"""The one Jinja environment; every foreign string goes through the filter of its language."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jinja2

from edgesmith.generate.context import Dim, Tensor

_PLAIN_CPP = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()*+,-./:;<=>@[]^_`{|}~"
)


def cpp_string(text: str) -> str:
    """A C++ string literal of the UTF-8 bytes of `text`.

    Octal escapes have at most three digits, so that what follows can't become part of them.
    """
    escaped = (
        chr(byte) if chr(byte) in _PLAIN_CPP else f"\\{byte:03o}" for byte in text.encode("utf-8")
    )
    return '"' + "".join(escaped) + '"'


def cmake_string(text: str) -> str:
    """A quoted CMake argument."""
    return '"' + re.sub(r'([\\"$;@])', r"\\\1", text).replace("\n", "\\n") + '"'


def json_string(value: object) -> str:
    """JSON in ASCII."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, sort_keys=True)


def python_string(text: str) -> str:
    """A Python string literal in ASCII."""
    return ascii(text)


def profile_string(text: object) -> str:
    """A string in a Conan profile: JSON without the braces that the profile's Jinja looks for."""
    return json_string(str(text)).replace("{", "\\u007b").replace("}", "\\u007d")


def sh_quote(text: str) -> str:
    """One word of a POSIX shell."""
    return shlex.quote(text)


def display(text: str) -> str:
    """Printable ASCII that shows `text`, control characters as escapes."""
    return json.dumps(text, ensure_ascii=True)[1:-1] or "(empty)"


def markdown_code(text: str) -> str:
    """Inline code in a Markdown table."""
    shown = text.replace("|", "\\|").replace("\n", " ")
    runs = [len(run) for run in re.findall(r"`+", shown)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cpp_dims(dims: Iterable[Dim]) -> str:
    """Dimensions as compile-time constants."""
    return ", ".join("kDynamic" if dim.size < 0 else str(dim.size) for dim in dims)


def cpp_sizes(dims: Iterable[Dim]) -> str:
    """Dimensions as expressions over the parameter `sizes`."""
    return ", ".join(f"sizes.{dim.identifier}" if dim.size < 0 else str(dim.size) for dim in dims)


def dims_text(dims: Iterable[Dim]) -> str:
    """Dimensions for a reader, dynamic ones by their identifier."""
    return ", ".join((dim.identifier or "?") if dim.size < 0 else str(dim.size) for dim in dims)


def all_bound(tensors: Iterable[Tensor]) -> bool:
    """Whether the sizes of all tensors are known before a run."""
    return all(tensor.is_bound for tensor in tensors)


_FILTERS = (cpp_string, cmake_string, json_string, python_string, profile_string, sh_quote,
            display, markdown_code, cpp_dims, cpp_sizes, dims_text, all_bound)  # fmt: skip


class Renderer:
    """Renders templates below one folder.

    The delimiters are `[= =]`, `[% %]` and `[# #]`, because braces mean something in every
    language that is generated, and Conan's profiles are Jinja templates themselves.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            undefined=jinja2.StrictUndefined,
            variable_start_string="[=",
            variable_end_string="=]",
            block_start_string="[%",
            block_end_string="%]",
            comment_start_string="[#",
            comment_end_string="#]",
            keep_trailing_newline=True,
            # No output is HTML; each language has its own filter.
            autoescape=False,
        )
        self._environment.filters.update({f.__name__: f for f in _FILTERS})

    def render(self, template: str, context: object) -> str:
        """The text of `template` with the fields of a dataclass as its variables."""
        return self._environment.get_template(template).render(_variables(context))


def _variables(context: object) -> dict[str, Any]:
    if not is_dataclass(context) or isinstance(context, type):
        raise TypeError("a template's context is a dataclass instance")
    return {field.name: getattr(context, field.name) for field in fields(context)}
