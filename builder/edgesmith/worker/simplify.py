"""Cleans an ONNX file up, in a process of its own since native code may crash."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

# This operation runs in edgesmith's own interpreter, whose package may be on no path of ours.
_PACKAGES = Path(__file__).resolve().parents[2]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the cleaned model to `output` when a pass changed it, and tells what each did.

    `progress` names the pass that runs: the one to leave out when this process dies.
    """
    import onnx

    if str(_PACKAGES) not in sys.path:
        sys.path.append(str(_PACKAGES))
    from edgesmith.errors import EdgesmithError
    from edgesmith.simplify.sequence import run_passes

    module, _, attribute = request["passes"].partition(":")
    progress = Path(request["progress"])

    def on_pass(name: str) -> None:
        progress.write_text(name)

    try:
        cleaned = run_passes(
            onnx.load(request["model"]),
            getattr(importlib.import_module(module), attribute),
            request["sizes"],
            dropped=request["dropped"],
            on_pass=on_pass,
        )
    except EdgesmithError as error:
        return {"passes": [], "parity": [], "reason": error.what}
    if cleaned.changed:
        data = cleaned.model.SerializeToString(deterministic=True)
        Path(request["output"]).write_bytes(data)
    return {
        "reason": "",
        "passes": [dataclasses.asdict(record) for record in cleaned.passes],
        "parity": [dataclasses.asdict(check) for check in cleaned.parity],
    }
