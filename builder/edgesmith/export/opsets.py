"""Brings an exported model to the opset that was asked for, and to an IR version runtimes load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgesmith.errors import ModelError, UsageError
from edgesmith.model import onnx_file
from edgesmith.project.project import Project

if TYPE_CHECKING:
    import onnx

# The dynamo exporter's own default, and what its operator library is written for.
DEFAULT_OPSET = 20
# "... adapter_lookup: ... No Adapter From Version $18 for Split", and the like.
_OPERATOR = re.compile(r"\bfor (?:op(?:erator)? )?\W?([A-Z]\w+)")
_NODE = re.compile(r"[Nn]ode \(?'?([^\s')]+)")


def opset_of_project(project: Project) -> int:
    """The opset to export with; raises UsageError when a target's runtime does not take it."""
    asked = project.settings.model.opset
    limits = {name: project.target(name).platform.max_opset for name in project.settings.targets}
    newest = min(limits.values())
    if asked is not None and asked > newest:
        name = min(limits, key=lambda one: limits[one])
        raise UsageError(
            f"found {asked}; the runtime of target '{name}' takes opsets up to {newest}",
            where=f"{project.file}, model.opset",
            hint=f"set opset = {newest} or lower, or leave it out",
        )
    return asked or min(DEFAULT_OPSET, newest)


def max_ir_version(project: Project) -> int:
    """The newest IR version that every target's runtime loads."""
    return min(project.target(name).platform.max_ir_version for name in project.settings.targets)


def to_opset(model: onnx.ModelProto, opset: int, *, ir_version: int) -> onnx.ModelProto:
    """The model at `opset` and at most `ir_version`; raises ModelError that names the operator.

    What the converter changes is proven by the comparison that every export goes through.
    """
    import onnx

    found = onnx_file.opset_of(model)
    converted = model
    if found != opset:
        # The converter is native code, for valid models.
        _check(model)
        try:
            converted = onnx.version_converter.convert_version(model, opset)
        # The converter throws bare RuntimeErrors and its own types, by release.
        except Exception as error:
            raise _stopped(found, opset, str(error)) from error
    lowest = onnx.helper.find_min_ir_version_for(list(converted.opset_import), ignore_unknown=True)
    converted.ir_version = max(min(converted.ir_version, ir_version), min(lowest, ir_version))
    try:
        onnx.checker.check_model(converted)
    except onnx.checker.ValidationError as error:
        if found == opset:
            raise _invalid(str(error)) from error
        raise _stopped(found, opset, str(error)) from error
    return converted


def _check(model: onnx.ModelProto) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise _invalid(str(error)) from error


def _invalid(text: str) -> ModelError:
    lines = text.strip().splitlines() or ["no reason given"]
    return ModelError(
        f"not a valid ONNX model: {lines[0][:300]}",
        where="the exported model",
        hint="see the reasons of the other exporters, or take another [model] exporter",
    )


def _stopped(found: int, opset: int, text: str) -> ModelError:
    operator = _OPERATOR.search(text) or re.search(r"op_type:?\W*([A-Z]\w+)", text)
    named = f"the operator {operator[1]} stops it: " if operator else ""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return ModelError(
        f"it can't be brought from opset {found} to {opset}: {named}{lines[0][:300]}",
        where="[model] opset",
        hint=f"ask for opset {found}, or replace that operator in forward()",
    )
