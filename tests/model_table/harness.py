"""Runs a model in the C++ harness and in Python's ONNX Runtime, and compares bits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from edgesmith.data.samples import OUTPUTS, Samples
from edgesmith.errors import EdgesmithError
from edgesmith.model import numeric

TIMEOUT_S = 600


def difference(harness: Path, model: Path, samples: Path, folder: Path) -> str:
    """Where the harness's outputs differ from Python's; empty when every bit is the same."""
    found = folder / f"{model.stem}-outputs.safetensors"
    argv = [
        harness, "bench", "--model", model, "--samples", samples, "--outputs", found,
        "--min-iterations", "1", "--min-seconds", "0", "--json", folder / f"{model.stem}.json",
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return f"harness: exit code {done.returncode}, {lines[0] if lines else 'no message'}"
    try:
        return _compared(model, Samples(samples), Samples(found))
    except EdgesmithError as error:
        return str(error)


def _compared(model: Path, given: Samples, found: Samples) -> str:
    session = numeric.open_session(model)
    names = {one.name for one in session.get_outputs()}
    if set(found.names(OUTPUTS)) != names:
        return f"the harness gives {sorted(found.names(OUTPUTS))}, Python {sorted(names)}"
    for index, feeds in enumerate(given.feeds()):
        expected = numeric.run_session(session, feeds, shown_as=model.name)
        actual = found.group(OUTPUTS, index)
        for name, array in expected.items():
            other = actual[name]
            if (array.dtype, array.shape) != (other.dtype, other.shape):
                return (
                    f"'{name}' is {other.dtype}{list(other.shape)} in the harness,"
                    f" {array.dtype}{list(array.shape)} in Python"
                )
            if np.ascontiguousarray(array).tobytes() != np.ascontiguousarray(other).tobytes():
                apart = np.abs(array.astype(np.float64) - other.astype(np.float64)).max()
                return f"'{name}' of sample {index} differs by up to {apart:.3g}"
    return ""
