"""Where settings come from: files and variables, lowest precedence first."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.errors import UsageError

PROJECT_FILE = "edgesmith.toml"
LOCAL_FILE = "edgesmith.local.toml"
ENVIRONMENT_PREFIX = "EDGESMITH_"
# Variables that steer the tool itself and are no keys of the project file.
RESERVED_VARIABLES = ("EDGESMITH_CACHE", "EDGESMITH_PYTHON")
# A project file has some KB; what is larger was named by mistake.
MAX_FILE_BYTES = 1 << 20

Location = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One source of settings: `name` goes into reports, `where` into messages."""

    name: str
    where: str
    values: Mapping[str, Any]


def read_layers(path: Path, environment: Mapping[str, str]) -> tuple[Layer, ...]:
    """All sources that hold for the project file `path`; raises UsageError."""
    layers = [Layer(name=path.name, where=str(path), values=read_toml(path))]
    local = path.with_name(LOCAL_FILE)
    if local.exists():
        layers.append(Layer(name=local.name, where=str(local), values=read_toml(local)))
    layers += _environment_layers(environment)
    devices = _user_devices(environment, layers)
    return (*devices, *layers)


def merged(layers: Iterable[Layer]) -> dict[str, Any]:
    """The values of all layers, a later one's over those before it."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = _merge(values, layer.values)
    return values


def source_of(location: Location, layers: Sequence[Layer]) -> Layer:
    """The layer that a mistake at `location` stands in.

    It is the one that sets the value; for a key that none sets, the one that begins the table,
    the project file before others.
    """
    depths = [_depth(location, layer.values) for layer in layers]
    deepest = max(depths)
    found = [layer for layer, depth in zip(layers, depths, strict=True) if depth == deepest]
    if deepest < len(location):
        return next((layer for layer in found if layer.name == PROJECT_FILE), found[-1])
    return found[-1]


def _depth(location: Location, values: Any) -> int:
    """How many parts of `location` lead to something in `values`."""
    for depth, part in enumerate(location):
        keys = range(len(values)) if isinstance(values, list) else values
        if not isinstance(keys, (Mapping, range)) or part not in keys:
            return depth
        values = values[part]
    return len(location)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the file: {error.strerror}",
            where=str(path),
            hint="check the path and its permissions",
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(
            f"too large to be a project file: more than {MAX_FILE_BYTES} bytes",
            where=str(path),
            hint="name an edgesmith.toml; models and data stay in files of their own",
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}",
            where=str(path),
            hint="save the file as UTF-8",
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        finding = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(
            f"not valid TOML: {finding}",
            where=str(path),
            hint="correct the syntax at that place; strings need quotes, tables a [header]",
        ) from error


def _user_devices(environment: Mapping[str, str], layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The user's own devices, those of them whose target this project has."""
    base = environment.get("XDG_CONFIG_HOME")
    home = environment.get("HOME")
    if not base and not home:
        return ()
    folder = Path(base) if base else Path(str(home)) / ".config"
    path = folder / "edgesmith" / "devices.toml"
    if not path.is_file():
        return ()
    content = read_toml(path)
    unknown = sorted(content.keys() - {"devices"})
    devices = content.get("devices", {})
    if unknown or not isinstance(devices, Mapping):
        raise UsageError(
            f"{unknown[0]}: unknown key; only [devices.NAME] tables may stand here"
            if unknown
            else "devices: expected tables named [devices.NAME]",
            where=str(path),
            hint="settings of a project stand in its edgesmith.toml",
        )
    targets = merged(layers).get("targets")
    known = targets if isinstance(targets, Mapping) else {}
    usable = {name: device for name, device in devices.items() if _is_for(device, known)}
    return (Layer(name=str(path), where=str(path), values={"devices": usable}),)


def _is_for(device: object, targets: Mapping[str, Any]) -> bool:
    """Whether a device is one of these targets; what is no device is for the checks to tell."""
    target = device.get("target") if isinstance(device, Mapping) else None
    return not isinstance(target, str) or target in targets


def _environment_layers(environment: Mapping[str, str]) -> list[Layer]:
    """EDGESMITH_QUANTIZE__CALIBRATION=entropy sets quantize.calibration; values are TOML."""
    layers = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_VARIABLES:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        nested: Any = _toml_value(environment[name])
        for key in reversed(keys):
            nested = {key: nested}
        layers.append(Layer(name=name, where=f"the variable {name}", values=nested))
    return layers


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
