"""Mistakes of a project file, each with dotted key, finding and expectation."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgesmith.platforms import load_platforms
from edgesmith.project import settings as model
from edgesmith.project.bench_settings import BenchSettings
from edgesmith.project.layers import Location
from edgesmith.project.placeholders import placeholder_findings
from edgesmith.project.target_providers import provider_findings
from edgesmith.project.wording import expectation, shown, suggestion


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: where in the settings, and what is wrong and expected there."""

    location: Location
    finding: str

    def render(self) -> str:
        return f"{dotted(self.location)}: {self.finding}"


def validation_mistakes(
    error: ValidationError, *, root: type[BaseModel] = model.ProjectSettings, prefix: Location = ()
) -> list[Mistake]:
    """Pydantic's findings in our words; `prefix` is where the checked table stands."""
    by_place: dict[Location, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_place.setdefault(_location(details), []).append(details)
    # A list whose entries are wrong is also told to be too short: that is no mistake of its own.
    above = {place[:depth] for place in by_place for depth in range(len(place))}
    return [
        Mistake(location=(*prefix, *place), finding=_finding(place, found, root))
        for place, found in by_place.items()
        if place not in above
    ]


def _finding(location: Location, found: list[ErrorDetails], root: type[BaseModel]) -> str:
    """One sentence for all that was tried at a place: a union is tried once for each member."""
    first = found[0]
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        return f"unknown key; {suggestion(str(location[-1]), known)}"
    if first["type"] == "missing":
        return "missing; this key is required"
    expected = " or ".join(dict.fromkeys(expectation(details) for details in found))
    return f"found {shown(first.get('input'))}; expected {expected}"


def _location(details: ErrorDetails) -> Location:
    """Without what pydantic adds behind a list's index for a union's member, or behind a key."""
    location = details["loc"]
    if location and location[-1] == "[key]":
        return location[:-1]
    if len(location) > 1 and isinstance(location[-2], int) and isinstance(location[-1], str):
        tag = location[-1]
        is_member = tag in ("int", "str") or tag.startswith(("constrained-", "function-"))
        return location[:-1] if is_member else location
    return location


def dotted(location: Location) -> str:
    """`bench.shapes[0].batch`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "(file)"


def _known_keys(location: Location, root: type[BaseModel]) -> set[str]:
    """The keys that may stand in the table at `location` of `root`."""
    annotation: Any = root
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
    arguments, origin = typing.get_args(annotation), typing.get_origin(annotation)
    if origin is tuple and isinstance(part, int):
        return arguments[0]
    return arguments[-1] if origin is dict else None


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
            mistakes.append(_unknown(("devices", name, "target"), target, targets))
        mistakes.extend(_root_mistakes(name, device))
        mistakes.extend(_reach_mistakes(name, device))
        mistakes.extend(_override_mistakes(("devices", name), device, "bench", "gates"))
    for name, target in targets.items():
        mistakes.extend(_override_mistakes(("targets", name), target, "quantize", "bench"))
    for key, known in (("targets", targets), ("devices", devices)):
        named = _table(raw, "defaults").get(key, ())
        for index, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str) and name not in known:
                mistakes.append(_unknown(("defaults", key, index), name, known))
    mistakes.extend(_platform_mistakes(raw))
    mistakes.extend(Mistake(location=at, finding=what) for at, what in provider_findings(raw))
    mistakes.extend(_size_mistakes(raw))
    mistakes.extend(_preprocess_mistakes(raw))
    return mistakes


def _platform_mistakes(raw: Mapping[str, Any]) -> list[Mistake]:
    """Platforms that nobody knows, and own ones that contradict others or themselves."""
    known, own = load_platforms(), _table(raw, "platforms")
    mistakes = []
    for name, one in own.items():
        place = ("platforms", name)
        if name in known:
            finding = "edgesmith has a platform of this name; choose another, and this one as base"
            mistakes.append(Mistake(location=place, finding=finding))
        base = one.get("base") if isinstance(one, Mapping) else None
        if isinstance(base, str) and base and base not in known:
            mistakes.append(_unknown((*place, "base"), base, known))
        if isinstance(one, Mapping) and {"wheel", "onnxruntime"} <= one.keys():
            finding = "found beside wheel; one of the two brings ONNX Runtime"
            mistakes.append(Mistake(location=(*place, "onnxruntime"), finding=finding))
    for name, target in _table(raw, "targets").items():
        platform = target.get("platform") if isinstance(target, Mapping) else None
        if isinstance(platform, str) and platform not in {*known, *own}:
            mistakes.append(_unknown(("targets", name, "platform"), platform, {*known, *own}))
    return mistakes


def _preprocess_mistakes(raw: Mapping[str, Any]) -> list[Mistake]:
    """[preprocess] needs an input of that name whose axes and channels it fits."""
    mistakes = []
    inputs = _table(_table(raw, "model"), "inputs")
    for name, one in _table(raw, "preprocess").items():
        if inputs and name not in inputs:
            mistakes.append(_unknown(("preprocess", name), name, inputs))
        if not isinstance(one, Mapping):
            continue
        shape = _table(inputs, name).get("shape")
        layout = _table(one, "from").get("layout")
        if isinstance(layout, str) and isinstance(shape, list) and len(layout) != len(shape):
            finding = f"found {layout!r}; the model's input has {len(shape)} dimensions: {shape}"
            mistakes.append(
                Mistake(location=("preprocess", name, "from", "layout"), finding=finding)
            )
        for key in ("mean", "std"):
            count = len(one[key]) if isinstance(one.get(key), list) else 1
            channels = shape[-3] if isinstance(shape, list) and len(shape) >= 3 else None
            if count > 1 and isinstance(channels, int) and count != channels:
                each = f", or {channels}: one for each channel" if channels > 1 else ""
                finding = f"found {count} numbers; expected 1{each}"
                mistakes.append(Mistake(location=("preprocess", name, key), finding=finding))
    return mistakes


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _unknown(location: Location, name: str, known: Iterable[str]) -> Mistake:
    finding = f"found '{name}', which is not defined; " + suggestion(name, known)
    return Mistake(location=location, finding=finding)


def _root_mistakes(name: str, device: object) -> list[Mistake]:
    root = device.get("root") if isinstance(device, Mapping) else None
    if not isinstance(root, str) or not root:
        return []
    expected = ""
    if not root.strip("/. ") or ".." in root.split("/"):
        expected = "a folder of its own, never '/', without '..'"
    elif root.startswith("~"):
        expected = "a path without '~': a relative one is below the login's home already"
    elif root.startswith("-") or not root.isprintable():
        expected = "a path without control characters that does not begin with '-'"
    if not expected:
        return []
    finding = f"found {root!r}; expected {expected}"
    return [Mistake(location=("devices", name, "root"), finding=finding)]


# The keys that each transport needs, and those that it takes besides.
_REACH: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "local": ((), ()),
    "qemu-user": ((), ("cpu",)),
    "ssh": (("address",), ("port", "host_key")),
    "command": (("push", "exec"), ("fetch",)),
}


def _reach_mistakes(name: str, device: object) -> list[Mistake]:
    """Each transport has keys of its own, and command lines their placeholders."""
    transport = device.get("transport") if isinstance(device, Mapping) else None
    if not isinstance(device, Mapping) or str(transport) not in _REACH:
        return []
    needed, optional = _REACH[str(transport)]
    mistakes = [
        _at_device(name, key, f"missing; transport = '{transport}' needs it")
        for key in needed
        if key not in device
    ]
    every = {key for one in _REACH.values() for keys in one for key in keys}
    for key in sorted(every & set(device)):
        if key not in (*needed, *optional):
            takes = next(t for t, keys in _REACH.items() if key in (*keys[0], *keys[1]))
            finding = f"transport = '{transport}' does not take it; transport = '{takes}' does"
            mistakes.append(_at_device(name, key, finding))
        findings = placeholder_findings(key, device[key])
        mistakes.extend(_at_device(name, key, finding) for finding in findings)
    return mistakes


def _at_device(name: str, key: str, finding: str) -> Mistake:
    return Mistake(location=("devices", name, key), finding=finding)


_OVERRIDES: dict[str, type[BaseModel]] = {
    "quantize": model.QuantizeSettings,
    "bench": BenchSettings,
    "gates": model.GateSettings,
}


def _override_mistakes(prefix: Location, table: object, *sections: str) -> list[Mistake]:
    mistakes = []
    for section in sections:
        values = table.get(section) if isinstance(table, Mapping) else None
        if not isinstance(values, Mapping):
            continue
        cls = _OVERRIDES[section]
        try:
            cls.model_validate(dict(values))
        except ValidationError as error:
            mistakes += validation_mistakes(error, root=cls, prefix=(*prefix, section))
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
                mistakes.append(_unknown(("model", "inputs", name, "sizes", dim), dim, names))
    shapes = _table(raw, "bench").get("shapes")
    for index, shape in enumerate(shapes if isinstance(shapes, list) and inputs else ()):
        for dim in shape if isinstance(shape, Mapping) else ():
            if dim not in dynamic:
                mistakes.append(_unknown(("bench", "shapes", index, dim), dim, dynamic))
    return mistakes
