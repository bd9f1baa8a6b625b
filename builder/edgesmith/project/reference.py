"""Writes what is generated from the settings model: the JSON schema and the reference page.

`python -m edgesmith.project.reference ROOT` writes both into a checkout; a test compares them.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edgesmith.project import bench_settings, platform_settings, provider_settings, settings

SCHEMA_FILE = "builder/edgesmith/project/project.schema.json"
PAGE_FILE = "docs/project-file.md"

_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("model", settings.ModelSettings),
    ("model.inputs.NAME", settings.InputSettings),
    ("preprocess.NAME", settings.PreprocessSettings),
    ("preprocess.NAME.from", settings.CameraSettings),
    ("data", settings.DataSettings),
    ("worker", settings.WorkerSettings),
    ("quantize", settings.QuantizeSettings),
    ("bench", bench_settings.BenchSettings),
    ("bench.scenarios", bench_settings.ScenarioSettings),
    ("gates", settings.GateSettings),
    ("targets.NAME", settings.TargetSettings),
    ("plugins.NAME", provider_settings.PluginSettings),
    ("platforms.NAME", platform_settings.PlatformSettings),
    ("platforms.NAME.wheel", platform_settings.WheelSettings),
    ("devices.NAME", settings.DeviceSettings),
    ("defaults", settings.DefaultsSettings),
)

_HEAD = """# The project file: `edgesmith.toml`

<!-- Generated from builder/edgesmith/project/settings.py by `make docs`; do not edit. -->

Paths are relative to the file. Unknown keys are errors. The file starts with `schema = 1`.

Settings are taken, lowest precedence first, from: the defaults below,
`~/.config/edgesmith/devices.toml` (devices only), this file, `edgesmith.local.toml` beside it, and
environment variables such as `EDGESMITH_QUANTIZE__CALIBRATION=entropy` (two underscores stand for a
dot). A target may override keys of `[quantize]` and `[bench]`, a device keys of `[bench]` and
`[gates]`. The JSON schema for editors is `builder/edgesmith/project/project.schema.json`.
"""


def schema_text() -> str:
    """The JSON schema of the project file."""
    schema = settings.ProjectSettings.model_json_schema(by_alias=True)
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def page_text() -> str:
    """The reference page in Markdown."""
    parts = [_HEAD]
    for title, cls in _TABLES:
        purpose = inspect.cleandoc(cls.__doc__ or "")
        parts.append(f"## `[{title}]`\n\n{purpose}\n\n{_table(cls)}")
    return "\n".join(parts)


def _table(cls: type[BaseModel]) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in cls.model_fields.items():
        if _is_section(field.annotation):
            continue
        values = _type_text(field.annotation).replace("|", "\\|")
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{field.alias or name}` | {values} | {_default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _is_section(annotation: Any) -> bool:
    """Whether it is a table with a heading of its own on the page."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_is_section(argument) for argument in arguments)
    last = arguments[-1] if typing.get_origin(annotation) is dict and arguments else annotation
    return isinstance(last, type) and issubclass(last, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        value = [_plain(one) for one in value]
    return f"`{json.dumps(value)}`"


def _plain(value: Any) -> Any:
    """A default as the project file would write it."""
    return value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value


def _type_text(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_text(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{json.dumps(a)}`" for a in arguments)
    if origin in (typing.Union, types.UnionType):
        kinds = [_type_text(a) for a in arguments if a is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is tuple:
        return f"list of {_type_text(arguments[0])}"
    if origin is dict:
        return f"table of {_type_text(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    names = {str: "string", int: "integer", float: "number", bool: "boolean", object: "any"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def main(root: Path) -> None:
    """Writes both files below `root`."""
    (root / SCHEMA_FILE).write_text(schema_text())
    (root / PAGE_FILE).parent.mkdir(exist_ok=True)
    (root / PAGE_FILE).write_text(page_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
