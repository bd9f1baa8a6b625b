"""What the tables of the project file are made of: text of a form, and the table itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from edgesmith.metric_names import BUILT_IN_METRICS, PYTHON_METRIC_PATTERN, metric_name
from edgesmith.toolchains import is_toolchain

_NAME = r"^[a-z][a-z0-9_-]*$"
_VERSION = r"^\d{1,5}\.\d{1,5}\.\d{1,5}([-+][0-9A-Za-z.-]+)?$"
_DIMENSION = r"^[A-Za-z_]\w*$"
# No word of it can be read as an option, nor by a shell.
_ADDRESS = (
    r"^([A-Za-z0-9_][A-Za-z0-9_.+-]*@)?"
    r"([A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?)$"
)
_PACKAGE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_RELEASE = r"^\d[0-9a-z.+]*$"
_TAG = r"^[a-z0-9][a-z0-9_.-]*$"
_SHA256 = r"^[0-9a-f]{64}$"
_INSIDE = r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$"
_OPTION_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
_GLIBC = r"^2\.\d{1,2}$"
CPU_LIST = r"^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$"
ENGINE_CACHE = r"^(off|/[^\x00-\x1f\x7f]+)$"
ARGUMENT = r"^[A-Za-z_]\w*(\[\d{1,4}\]|\[\"[^\"\[\]]+\"\]|\.[A-Za-z_]\w*)*$"
# What a pattern asks for, for messages.
PATTERN_WORDS = {
    _NAME: "a name of lower-case letters, digits, '-' and '_' that begins with a letter",
    _VERSION: "a version such as 1.2.3, each number of at most five digits",
    _DIMENSION: "a name of letters, digits and '_' in quotes",
    _ADDRESS: "a host or user@host, not beginning with '-', its port under port = NUMBER",
    _PACKAGE: "a package's name",
    _RELEASE: "a version such as 1.23.0",
    _TAG: "a tag of lower-case letters, digits, '_', '.' and '-'",
    _SHA256: "a SHA-256: 64 digits of 0 to 9 and a to f",
    _INSIDE: "a path inside the wheel, such as onnxruntime/capi/libonnxruntime.so.1.23.0",
    _GLIBC: "a version such as 2.31",
    _OPTION_NAME: "an option's name of letters, digits, '_', '.' and '-'",
    ARGUMENT: "a parameter of forward() with indices and keys, such as state[0] or batch.ids",
    ENGINE_CACHE: "a folder on the device that begins with '/', or off",
    CPU_LIST: "a list of CPUs such as 0-3 or 0,2",
}


def _toolchain_name(value: str) -> str:
    if not is_toolchain(value):
        raise ValueError("'zig', 'gcc' or a CMake toolchain file, such as board.cmake")
    return value


Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
Version = Annotated[str, StringConstraints(pattern=_VERSION)]
Dimension = Annotated[str, StringConstraints(pattern=_DIMENSION)]
PackageName = Annotated[str, StringConstraints(pattern=_PACKAGE)]
Release = Annotated[str, StringConstraints(pattern=_RELEASE)]
WheelTag = Annotated[str, StringConstraints(pattern=_TAG)]
Digest = Annotated[str, StringConstraints(pattern=_SHA256)]
InsidePath = Annotated[str, StringConstraints(pattern=_INSIDE)]
OptionName = Annotated[str, StringConstraints(pattern=_OPTION_NAME, max_length=128)]
GlibcVersion = Annotated[str, StringConstraints(pattern=_GLIBC)]
Address = Annotated[str, StringConstraints(pattern=_ADDRESS, max_length=255)]
Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
ToolchainName = Annotated[str, AfterValidator(_toolchain_name)]
MetricName = Annotated[
    str,
    AfterValidator(metric_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(BUILT_IN_METRICS), "type": "string"},
                {"pattern": PYTHON_METRIC_PATTERN, "type": "string"},
            ]
        }
    ),
]
# What fits a signed 32-bit number: dimensions and counts beyond it are slips.
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _ascending(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 2 or value[0] > value[1]:
        raise ValueError("two numbers, the lowest value before the highest")
    return value


Range = Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_ascending)]


class Section(BaseModel):
    """A table of the project file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
