"""From `edgesmith.toml` to a frozen Project; all mistakes of a file are told at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgesmith.errors import UsageError
from edgesmith.project.mistakes import Mistake, reference_mistakes, validation_mistakes
from edgesmith.project.project import Project
from edgesmith.project.settings import ProjectSettings

PROJECT_FILE = "edgesmith.toml"
LOCAL_FILE = "edgesmith.local.toml"
ENVIRONMENT_PREFIX = "EDGESMITH_"
# Variables that steer the tool itself and are no keys of the project file.
RESERVED_VARIABLES = ("EDGESMITH_CACHE", "EDGESMITH_PYTHON")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One source of settings, lowest precedence first."""

    name: str
    values: Mapping[str, Any]


def find_project_file(given: str | None, *, start: Path) -> Path:
    """The project file: the one given (file or folder), else the nearest from `start` up."""
    if given is not None:
        path = Path(given).expanduser()
        path = path / PROJECT_FILE if path.is_dir() else path
        if path.is_file():
            return path.absolute()
        raise UsageError(
            "there is no project file here",
            where=str(path),
            hint="name an edgesmith.toml or its folder with -p, or make one: edgesmith init DIR",
        )
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    raise UsageError(
        "there is no edgesmith.toml in this folder or above it",
        where=str(start),
        hint="go to your project, name it with -p PATH, or make one: edgesmith init DIR",
    )


def load_project(path: Path, environment: Mapping[str, str] = os.environ) -> Project:
    """Reads and checks the project file with all its layers; raises UsageError."""
    layers = [Layer(name=path.name, values=_read_toml(path))]
    local = path.with_name(LOCAL_FILE)
    if local.is_file():
        layers.append(Layer(name=local.name, values=_read_toml(local)))
    devices = _user_devices(environment)
    if devices is not None:
        layers.insert(0, devices)
    layers.append(_environment_layer(environment))
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer.values)
    mistakes: list[Mistake] = []
    settings = None
    try:
        settings = ProjectSettings.model_validate(merged)
    except ValidationError as error:
        mistakes.extend(validation_mistakes(error))
    mistakes.extend(reference_mistakes(merged))
    if mistakes or settings is None:
        raise _usage_error(path, mistakes)
    return Project(file=path, settings=settings, layers=tuple(layer.name for layer in layers))


def _usage_error(path: Path, mistakes: list[Mistake]) -> UsageError:
    unique = list(dict.fromkeys(mistakes))
    count = "1 mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
    lines = [f"{count} in the project file", *(f"  {m.render()}" for m in unique)]
    return UsageError(
        "\n".join(lines),
        where=str(path),
        hint="correct the keys above; docs/project-file.md describes every key",
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read the file: {error.strerror}",
            where=str(path),
            hint="check the path and its permissions",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"not valid TOML: {error}",
            where=str(path),
            hint="correct the syntax at that place; strings need quotes, tables a [header]",
        ) from error


def _user_devices(environment: Mapping[str, str]) -> Layer | None:
    base = environment.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path(environment.get("HOME", "~")).expanduser() / ".config"
    path = folder / "edgesmith" / "devices.toml"
    if not path.is_file():
        return None
    return Layer(name=str(path), values={"devices": _read_toml(path).get("devices", {})})


def _environment_layer(environment: Mapping[str, str]) -> Layer:
    """EDGESMITH_QUANTIZE__CALIBRATION=entropy sets quantize.calibration; values are TOML."""
    values: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_VARIABLES:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        nested: Any = _toml_value(environment[name])
        for key in reversed(keys):
            nested = {key: nested}
        values = _merge(values, nested)
    return Layer(name="environment", values=values)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
