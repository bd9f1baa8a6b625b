"""Mistakes of a project file, each with dotted key, finding and expectation."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgesmith.project import settings as model


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: `key` is dotted, `finding` says what is wrong and what is expected."""

    key: str
    finding: str

    def render(self) -> str:
        return f"{self.key}: {self.finding}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known word, else the list of all."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"


def validation_mistakes(error: ValidationError) -> list[Mistake]:
    """Pydantic's findings in our words."""
    mistakes = [_mistake(details) for details in error.errors(include_url=False)]
    return list(dict.fromkeys(mistakes))


def _mistake(details: ErrorDetails) -> Mistake:
    location = tuple(part for part in details["loc"] if not _is_union_tag(part))
    key = _dotted(location)
    kind = details["type"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        return Mistake(key=key, finding=f"unknown key; {suggestion(str(location[-1]), known)}")
    if kind == "missing":
        return Mistake(key=key, finding="missing; this key is required")
    found = details.get("input")
    expected = details["msg"].removeprefix("Value error, ")
    expected = expected.removeprefix("Input should be ").removeprefix("Input should ")
    return Mistake(key=key, finding=f"found {_shown(found)}; expected {expected}")


def _is_union_tag(part: int | str) -> bool:
    return isinstance(part, str) and (
        part.startswith(("constrained-", "function-"))
        or part
        in {
            "int",
            "str",
            "[key]",
        }
    )


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "(file)"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(location: tuple[int | str, ...]) -> set[str]:
    """The keys that may stand in the table at `location`."""
    annotation: Any = model.ProjectSettings
    for part in location:
        annotation = _descend(annotation, part)
        if annotation is None:
            return set()
    cls = _model_in(annotation)
    return {f.alias or n for n, f in cls.model_fields.items()} if cls else set()


def _descend(annotation: Any, part: int | str) -> Any:
    cls = _model_in(annotation)
    if cls is not None:
        for name, field in cls.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
        return None
    arguments = typing.get_args(annotation)
    return arguments[-1] if typing.get_origin(annotation) is dict else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None


def reference_mistakes(raw: Mapping[str, Any]) -> list[Mistake]:
    """Names that refer to nothing, and settings that contradict each other.

    Works on the raw values, so that these mistakes show beside wrong types.
    """
    targets, devices = _table(raw, "targets"), _table(raw, "devices")
    mistakes = []
    for name, device in devices.items():
        target = device.get("target") if isinstance(device, Mapping) else None
        if isinstance(target, str) and target not in targets:
            mistakes.append(_unknown(f"devices.{name}.target", target, targets))
        mistakes.extend(_root_mistakes(name, device))
        mistakes.extend(_override_mistakes(f"devices.{name}", device, "bench", "gates"))
    for name, target in targets.items():
        mistakes.extend(_override_mistakes(f"targets.{name}", target, "quantize", "bench"))
    for key, known in (("targets", targets), ("devices", devices)):
        named = _table(raw, "defaults").get(key, ())
        for name in named if isinstance(named, list) else ():
            if isinstance(name, str) and name not in known:
                mistakes.append(_unknown(f"defaults.{key}", name, known))
    mistakes.extend(_size_mistakes(raw))
    return mistakes


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _unknown(key: str, name: str, known: Iterable[str]) -> Mistake:
    return Mistake(
        key=key, finding=f"found '{name}', which is not defined; " + suggestion(name, known)
    )


def _root_mistakes(name: str, device: object) -> list[Mistake]:
    root = device.get("root") if isinstance(device, Mapping) else None
    if not isinstance(root, str):
        return []
    if not root.strip("/. ") or ".." in root.split("/"):
        finding = f"found {root!r}; expected a folder of its own, never '/', without '..'"
        return [Mistake(key=f"devices.{name}.root", finding=finding)]
    return []


_OVERRIDES: dict[str, type[BaseModel]] = {
    "quantize": model.QuantizeSettings,
    "bench": model.BenchSettings,
    "gates": model.GateSettings,
}


def _override_mistakes(prefix: str, table: object, *sections: str) -> list[Mistake]:
    mistakes = []
    for section in sections:
        values = table.get(section) if isinstance(table, Mapping) else None
        if not isinstance(values, Mapping):
            continue
        cls = _OVERRIDES[section]
        try:
            cls.model_validate(dict(values))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                one = _mistake(details)
                finding = one.finding
                if details["type"] == "extra_forbidden":
                    known = suggestion(str(details["loc"][-1]), cls.model_fields)
                    finding = f"unknown key; {known}"
                mistakes.append(Mistake(key=f"{prefix}.{section}.{one.key}", finding=finding))
    return mistakes


def _size_mistakes(raw: Mapping[str, Any]) -> list[Mistake]:
    mistakes = []
    dynamic: set[str] = set()
    inputs = _table(_table(raw, "model"), "inputs")
    for name, one in inputs.items():
        shape = one.get("shape") if isinstance(one, Mapping) else None
        names = {d for d in shape if isinstance(d, str)} if isinstance(shape, list) else set()
        dynamic |= names
        sizes = _table(one, "sizes") if isinstance(one, Mapping) else {}
        for dim in sizes:
            if dim not in names:
                mistakes.append(_unknown(f"model.inputs.{name}.sizes.{dim}", dim, names))
    shapes = _table(raw, "bench").get("shapes")
    for index, shape in enumerate(shapes if isinstance(shapes, list) and inputs else ()):
        for dim in shape if isinstance(shape, Mapping) else ():
            if dim not in dynamic:
                mistakes.append(_unknown(f"bench.shapes[{index}].{dim}", dim, dynamic))
    return mistakes
