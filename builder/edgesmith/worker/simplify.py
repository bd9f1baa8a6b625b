"""Simplifies an ONNX file with onnxsim, in a process of its own since native code may crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .failures import describe


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the simplified model to `output`; `failed` holds the reason when it can't."""
    import onnx
    import onnxsim

    model = onnx.load(request["model"])
    try:
        simplified, agreed = onnxsim.simplify(model, check_n=request["check_n"])
    except Exception as error:
        return {"failed": describe(error)}
    if not agreed:
        return {"failed": "onnxsim's own check found different outputs"}
    onnx.save(simplified, Path(request["output"]))
    return {"failed": ""}
