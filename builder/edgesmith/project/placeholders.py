"""Placeholders in the command lines of `transport = "command"`: `{local}`, `{argv}`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgesmith.project.wording import shown, suggestion

# What each key's command line may hold; all of a file's are needed, of a command's at most one.
_FOR_FILES = ("{local}", "{remote}")
_FOR_COMMANDS = ("{argv}", "{command}")
_KNOWN = {"push": _FOR_FILES, "fetch": _FOR_FILES, "exec": _FOR_COMMANDS}
# A shell's `${name}` and a template's `{{.Name}}` are none.
_PLACEHOLDER = re.compile(r"(?<![{$])\{[A-Za-z_]+\}(?!\})")


def placeholder_findings(key: str, value: object) -> list[str]:
    """What is wrong with the placeholders of `push`, `exec` or `fetch`; other keys have none."""
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    if key not in _KNOWN or not words:
        return []
    known = _KNOWN[key]
    found = dict.fromkeys(one for word in words for one in _PLACEHOLDER.findall(word))
    unknown = [
        f"found {one}, which is no placeholder of {key}; {suggestion(one, known)}"
        for one in found
        if one not in known
    ]
    # A placeholder that is misspelt is missing, too: that is no mistake of its own.
    return unknown or (_of_files(words) if known == _FOR_FILES else _of_commands(words))


def _of_files(words: Sequence[str]) -> list[str]:
    text = " ".join(words)
    return [
        f"found {shown(words)}; expected one with {one} in it"
        for one in _FOR_FILES
        if one not in text
    ]


def _of_commands(words: Sequence[str]) -> list[str]:
    within = [word for word in words if "{argv}" in word and word != "{argv}"]
    if within:
        return [
            f"found {shown(within[0])}; {{argv}} must be a word of its own, as it becomes several;"
            " did you mean {command}?"
        ]
    if "{argv}" in words and any("{command}" in word for word in words):
        return ["found {argv} and {command}; expected one of the two: both are the same command"]
    return []
