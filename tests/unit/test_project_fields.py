"""Every field of the project file wrong, generated from the settings model's own schema.

A new field without a case fails: its schema gives the cases, and text that any value fits must
be listed with the place where a wrong one is found.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bad_cases import CASES

from edgesmith.errors import UsageError
from edgesmith.project.load import load_project
from edgesmith.project.settings import ProjectSettings

# Names that stand for the free part of `targets.NAME` and the like.
NAMES = {
    "targets": "host",
    "devices": "desk",
    "platforms": "board",
    "inputs": "image",
    "preprocess": "image",
    "sizes": "batch",
}
# Fields of text whose value no schema can judge: the case of bad_cases.py that spoils each.
FREE_TEXT = {
    "model.source": "unsupported source",
    "model.python": "missing interpreter",
    "model.depends[0]": "missing depends",
    "data.calibration": "no such folder",
    "data.evaluation": "no such function for evaluation",
    "quantize.exclude[0]": "exclude matches nothing",
}
# Any name of a CPU is right: unknown ones get the careful default.
NEVER_WRONG = {"targets.host.cpu", "devices.desk.cpu", "platforms.board.cpu"}
# Values that only the model's validators refuse.
WRONG_TEXT = {
    "targets.host.platform": ("linux-x68_64", "did you mean 'linux-x86_64'"),
    "targets.host.toolchain": ("gccc", "a CMake toolchain file, such as board.cmake"),
    "platforms.board.base": ("linux-aarch63", "did you mean 'linux-aarch64'"),
    "platforms.board.toolchain": ("gccc", "a CMake toolchain file, such as board.cmake"),
    "devices.desk.root": ("/", "a folder of its own"),
    "devices.desk.target": ("hots", "did you mean 'host'"),
    "defaults.targets[0]": ("hots", "did you mean 'host'"),
    "defaults.devices[0]": ("dekt", "did you mean 'desk'"),
}
# pydantic's own wording, which must not reach a user.
RAW = (
    "String should",
    "Input should",
    "valid ",
    "Value error",
    "tuple",
    "constrained",
    "dictionary",
)


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A value that must be refused at `key`."""

    key: str
    value: Any
    says: str = ""


@functools.cache
def schema() -> dict[str, Any]:
    return ProjectSettings.model_json_schema(by_alias=True)


def resolved(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives that a schema node stands for, without null."""
    if "$ref" in node:
        return resolved(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return [r for one in node["anyOf"] for r in resolved(one)]
    return [] if node.get("type") == "null" else [node]


def fields(node: dict[str, Any], key: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every field below `node`: its dotted key and what its value may be."""
    for name, one in node.get("properties", {}).items():
        place = f"{key}.{name}" if key else name
        yield from _field(place, name, resolved(one))


def _field(
    place: str, name: str, kinds: list[dict[str, Any]]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield place, kinds
    for kind in kinds:
        if kind.get("type") == "array":
            yield from _field(f"{place}[0]", "", resolved(kind["items"]))
        elif "properties" in kind:
            yield from fields(kind, place)
        elif kind.get("type") == "object":
            inner = kind.get("additionalProperties") or next(
                iter(kind.get("patternProperties", {}).values()), {}
            )
            if isinstance(inner, dict) and inner:
                yield from _field(f"{place}.{NAMES.get(name, 'batch')}", "", resolved(inner))


def wrong_values(key: str, kinds: list[dict[str, Any]]) -> Iterator[Wrong]:
    """One wrong value for each rule that the schema has for a field."""
    types = {kind.get("type", "const") for kind in kinds}
    if "boolean" not in types:
        yield Wrong(key=key, value=True)
    if not types & {"array"}:
        yield Wrong(key=key, value=[[1]])
    if not types & {"object"}:
        yield Wrong(key=key, value={"x": 1})
    if not types & {"string", "const"} or any({"enum", "const"} & kind.keys() for kind in kinds):
        yield Wrong(key=key, value="no such thing")
    for kind in kinds:
        yield from _beyond_limits(key, kind)


def _beyond_limits(key: str, kind: dict[str, Any]) -> Iterator[Wrong]:
    if "minimum" in kind:
        yield Wrong(key=key, value=kind["minimum"] - 1, says=f"{kind['minimum']} or more")
    if "exclusiveMinimum" in kind:
        yield Wrong(key=key, value=kind["exclusiveMinimum"], says="more than")
    if "maximum" in kind:
        yield Wrong(key=key, value=kind["maximum"] + 1, says=f"{kind['maximum']} or less")
    if kind.get("type") == "number":
        for value in (float("nan"), float("inf")):
            yield Wrong(key=key, value=value, says="finite")
    if kind.get("type") == "integer":
        says = "1" if "const" in kind else "a whole number"
        yield Wrong(key=key, value=1.5, says=says)
    if kind.get("minLength"):
        yield Wrong(key=key, value="", says="not empty")
    if "maxLength" in kind:
        yield Wrong(key=key, value="a" * (kind["maxLength"] + 1), says="at most")
    if "pattern" in kind:
        yield Wrong(key=key, value="Not * right", says="a ")
    if kind.get("minItems"):
        yield Wrong(key=key, value=[], says="at least 1 entry")


FIELDS = dict(fields(schema()))
WRONG = [w for key, kinds in FIELDS.items() for w in wrong_values(key, kinds)]
WRONG += [Wrong(key=key, value=value, says=says) for key, (value, says) in WRONG_TEXT.items()]


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets `a.b[0]` in nested tables; tables on the way are made."""
    *parents, last = key.removesuffix("[0]").split(".")
    for part in parents:
        name = part.removesuffix("[0]")
        values = values.setdefault(name, [{}] if part.endswith("[0]") else {})
        values = values[0] if isinstance(values, list) else values
    values[last] = [value] if key.endswith("[0]") else value


def toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def message(path: Path, wrong: Wrong) -> UsageError:
    import tomllib

    values = tomllib.loads(path.read_text())
    set_key(values, wrong.key, wrong.value)
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in values.items()))
    with pytest.raises(UsageError) as caught:
        load_project(path, {})
    return caught.value


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.key}={str(w.value)[:20]}")
def test_a_wrong_value_is_told_in_plain_words(project_file: Path, wrong: Wrong) -> None:
    error = message(project_file, wrong)
    assert wrong.key.removesuffix("[0]") in error.what
    assert wrong.says in error.what
    assert error.where == str(project_file)
    assert not [words for words in RAW if words in error.what], error.what


def test_every_field_has_a_case_or_a_reason() -> None:
    judged = {wrong.key for wrong in WRONG if not isinstance(wrong.value, (bool, list, dict))}
    tables = {key for key, kinds in FIELDS.items() if kinds[0].get("type") in ("object", "array")}
    assert set(FIELDS) - judged - tables <= {*FREE_TEXT, *WRONG_TEXT, *NEVER_WRONG}
    assert {*FREE_TEXT, *WRONG_TEXT, *NEVER_WRONG} <= set(FIELDS)
    assert set(FREE_TEXT.values()) <= {case.name for case in CASES}


TABLES = ["", *(key for key, kinds in FIELDS.items() if "properties" in kinds[0])]


@pytest.mark.parametrize("table", TABLES)
def test_an_unknown_key_gets_a_suggestion(project_file: Path, table: str) -> None:
    prefix = f"{table}." if table else ""
    known = next(k for k in FIELDS if k.startswith(prefix) and k != table).removeprefix(prefix)
    known = known.split(".")[0].removesuffix("[0]")
    error = message(project_file, Wrong(key=f"{prefix}{known}x", value=1))
    assert f"{prefix}{known}x: unknown key; did you mean '{known}'?" in error.what
