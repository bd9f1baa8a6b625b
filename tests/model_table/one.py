"""Runs one model in this process, which may die of it: `python -m model_table.one NAME HARNESS`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from in_process import serving_here
from model_table.definitions import DEFINITIONS
from model_table.run import run_model


def main(name: str, harness: str) -> int:
    """Prints the row as JSON; what exporters print goes to stderr."""
    definition = next(one for one in DEFINITIONS if one.name == name)
    with (
        contextlib.redirect_stdout(sys.stderr),
        serving_here(),
        tempfile.TemporaryDirectory() as folder,
    ):
        row = run_model(definition, Path(folder), Path(harness))
    print(json.dumps(dataclasses.asdict(row)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
