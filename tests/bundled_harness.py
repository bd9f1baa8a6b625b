"""The harness of a bundle as a process: what it said, its report and its models' outputs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.report.schema import parse_report

# As short as can be, where outputs and placement are looked at.
SHORT = ("--min-seconds", "0", "--min-iterations", "1")
_TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class Said:
    """A finished program of a bundle; `report` is empty unless it was asked for on stdout."""

    code: int
    out: str
    err: str
    report: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """What was said, but for the progress of measuring."""
        return [line for line in self.err.splitlines() if not line.startswith("harness: process ")]

    @property
    def run(self) -> Any:
        """The only run."""
        (run,) = self.report["runs"]
        return run


def run_in(bundle: Path, program: str, *words: str | Path, **environment: str) -> Said:
    """Runs a program of the bundle to its end."""
    done = subprocess.run(
        [str(bundle / "bin" / program), *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr, report={})


def bench(bundle: Path, *words: str | Path, **environment: str) -> Said:
    """A short measurement, whose report is checked against its schema."""
    said = run_in(bundle, "harness", "bench", *SHORT, "--json", "-", *words, **environment)
    report = parse_report(said.out.encode(), where="stdout")
    assert report["exit_code"] == said.code
    return Said(code=said.code, out=said.out, err=said.err, report=report)


def manifest_of(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text())


def variant_of(bundle: Path, name: str) -> Any:
    return next(v for v in manifest_of(bundle)["variants"] if v["name"] == name)
