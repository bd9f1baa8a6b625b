"""What a setting should have been, in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from edgesmith.project.fields import PATTERN_WORDS

_WORDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list in [ ]",
    "list_type": "a list in [ ]",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_LONGEST_SHOWN = 60


def expectation(details: ErrorDetails) -> str:
    """What was expected where pydantic found this mistake."""
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "literal_error":
            return str(context["expected"])
        case "string_pattern_mismatch":
            pattern = str(context["pattern"])
            return PATTERN_WORDS.get(pattern, f"text of the form {pattern}")
        case "string_too_short":
            return "text that is not empty"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "too_short":
            return f"at least {_entries(context['min_length'])}"
        case "too_long":
            return f"at most {_entries(context['max_length'])}"
        case "greater_than":
            return f"more than {_number(context['gt'])}"
        case "greater_than_equal":
            return f"{_number(context['ge'])} or more"
        case "less_than":
            return f"less than {_number(context['lt'])}"
        case "less_than_equal":
            return f"{_number(context['le'])} or less"
        case "value_error":
            return str(context["error"])
    return _WORDS.get(kind, details["msg"])


def shown(value: object) -> str:
    """A value as the project file would write it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known word, else the list of all."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"


def _entries(count: Any) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _number(limit: Any) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)
