"""`[plugins.NAME]` and `[targets.NAME.providers]`: execution providers and their options."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from edgesmith.project.fields import OptionName, Section

_LONGEST_OPTION = 4096


def _option_value(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_OPTION:
        raise ValueError(f"at most {_LONGEST_OPTION} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("text, a number, true or false")
    return value


OptionValue = Annotated[
    Any,
    AfterValidator(_option_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": _LONGEST_OPTION},
                {"type": "number"},
                {"type": "boolean"},
            ]
        }
    ),
]


class PluginSettings(Section):
    """An execution provider in a library of its own, which ONNX Runtime 1.22 and later load.

    A target uses it by its name: `provider = "NAME"`. Library and files go into the bundle.
    """

    library: str = Field(
        min_length=1, description="The library, such as libonnxruntime_providers_qnn.so."
    )
    files: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Other libraries that it needs and that devices don't have; they lie beside it"
        " in the bundle.",
        strict=False,
    )
    licenses: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Licence texts that must go with library and files; they lie below"
        " licenses/plugins/NAME in the bundle.",
        strict=False,
    )
    needs: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Libraries that it needs and that only devices have, such as a driver's"
        " libOpenCL.so.1.",
        strict=False,
    )
    device: dict[OptionName, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Which of the devices that it offers: `type` is cpu, gpu or npu, other keys are"
        " the provider's own metadata; default: its first.",
    )
    options: dict[OptionName, OptionValue] = Field(
        default_factory=dict, description="Options, by the provider's own names."
    )
