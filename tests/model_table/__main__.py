"""`make models`: runs the table of models and writes docs/models.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_table.definitions import DEFINITIONS, Definition
from model_table.page import write_page
from model_table.run import Row, row_from_json
from workbench import DIGITS, ROOT

PAGE = ROOT / "docs" / "models.md"
ROWS = ROOT / "build" / "models"
# The largest networks take minutes on one core.
TIMEOUT_S = 3600


def main() -> int:
    """1 when a model failed."""
    options = _options()
    harness = options.harness or built_harness()
    chosen = [one for one in DEFINITIONS if not options.only or one.name in options.only]
    ROWS.mkdir(parents=True, exist_ok=True)

    def run(definition: Definition) -> Row:
        row = run_apart(definition, harness)
        _row_file(definition).write_text(json.dumps(dataclasses.asdict(row)) + "\n")
        print(f"{row.name}: {row.failure or 'passed'} ({row.seconds:.0f} s)", file=sys.stderr)
        return row

    with ThreadPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(run, chosen))
    known = [_row_file(one) for one in DEFINITIONS if _row_file(one).is_file()]
    kept = [row_from_json(file.read_text()) for file in known]
    write_page(kept, _page(options, len(kept)), defined=len(DEFINITIONS))
    return 1 if any(row.failure for row in rows) else 0


def _page(options: argparse.Namespace, rows: int) -> Path:
    """The page of the documentation is never written with fewer rows than there are models."""
    if options.output is not None:
        return Path(options.output)
    if rows == len(DEFINITIONS):
        return PAGE
    part = ROWS / PAGE.name
    print(f"{rows} of {len(DEFINITIONS)} rows are there: see {part}", file=sys.stderr)
    return part


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make models", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        choices=[one.name for one in DEFINITIONS],
                        help="run this one again, and keep the rows of the others")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="models at a time (1)")
    parser.add_argument("--harness", type=Path, help="a built one; default: that of the digits"
                        " example, which is built where it is not")  # fmt: skip
    parser.add_argument("--output", type=Path, help="the page (docs/models.md, with all rows)")
    return parser.parse_args()


def built_harness() -> Path:
    """The harness of the digits example's bundle, of the sources as they are."""
    argv = [sys.executable, "-m", "edgesmith", "build", "-p", str(DIGITS)]
    subprocess.run(argv, check=True, stdout=sys.stderr)
    return DIGITS / "build" / "digits" / "host" / "bundle" / "bin" / "harness"


def _row_file(definition: Definition) -> Path:
    return ROWS / (re.sub(r"\W+", "-", definition.name) + ".json")


def run_apart(definition: Definition, harness: Path) -> Row:
    """The row, from a process of its own: what ends that is a failed row."""
    argv = [sys.executable, "-m", "model_table.one", definition.name, str(harness)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return _failed(definition, f"not done after {TIMEOUT_S} s")
    if done.returncode != 0:
        return _failed(definition, f"exit status {done.returncode}: {_last(done.stderr)}")
    return row_from_json(done.stdout.splitlines()[-1])


def _failed(definition: Definition, reason: str) -> Row:
    return Row(name=definition.name, kind=definition.kind, failure=reason)


def _last(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[-1] if lines else "no message"


if __name__ == "__main__":
    sys.exit(main())
