"""Cleans an ONNX file up, in a process of its own since native code may crash."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# This operation runs in edgesmith's own interpreter, whose package may be on no path of ours.
_PACKAGES = Path(__file__).resolve().parents[2]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Cleans up each of `models`, and tells of each what the passes did.

    `progress` gives the place of the model and the pass that runs: the one to leave out when this
    process dies.
    """
    if str(_PACKAGES) not in sys.path:
        sys.path.append(str(_PACKAGES))
    module, _, attribute = request["passes"].partition(":")
    passes = getattr(importlib.import_module(module), attribute)
    progress = Path(request["progress"])

    def clean(place: int, asked: dict[str, Any]) -> dict[str, Any]:
        def on_pass(name: str) -> None:
            progress.write_text(f"{place} {name}")

        on_pass("")
        return _clean(asked, passes, request["sizes"], on_pass=on_pass)

    return {"models": [clean(place, asked) for place, asked in enumerate(request["models"])]}


def _clean(
    asked: dict[str, Any], passes: Any, sizes: Any, *, on_pass: Callable[[str], None]
) -> dict[str, Any]:
    """Writes the cleaned model to `output` when a pass changed it."""
    import onnx

    from edgesmith.errors import EdgesmithError
    from edgesmith.simplify.sequence import run_passes

    try:
        cleaned = run_passes(
            onnx.load(asked["model"]),
            passes,
            sizes,
            dropped=asked["dropped"],
            on_pass=on_pass,
        )
    except EdgesmithError as error:
        return {"passes": [], "parity": [], "reason": error.what}
    if cleaned.changed:
        data = cleaned.model.SerializeToString(deterministic=True)
        Path(asked["output"]).write_bytes(data)
    return {
        "reason": "",
        "passes": [dataclasses.asdict(record) for record in cleaned.passes],
        "parity": [dataclasses.asdict(check) for check in cleaned.parity],
    }
