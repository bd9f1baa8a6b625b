"""How long `edgesmith --help` takes, against a Python that does nothing, in one run."""

from __future__ import annotations

import sys
from pathlib import Path

from measure import measure, verdict

LIMIT_CPU_S = 0.3
RUNS = 15


def main() -> int:
    """Prints both figures and their ratio; 1 when the limit is missed."""
    here = Path.cwd()
    nothing = measure([sys.executable, "-c", "pass"], runs=RUNS, cwd=here)
    help_text = measure([sys.executable, "-m", "edgesmith", "--help"], runs=RUNS, cwd=here)
    print(f"python -c pass: {nothing.cpu_s:.3f} s CPU, {nothing.wall_s:.3f} s wall")
    print(f"edgesmith --help: {help_text.cpu_s:.3f} s CPU, {help_text.wall_s:.3f} s wall")
    print(f"ratio of CPU times: {help_text.cpu_s / nothing.cpu_s:.2f}")
    return 0 if verdict("edgesmith --help", help_text.cpu_s, LIMIT_CPU_S, "s CPU") else 1


if __name__ == "__main__":
    sys.exit(main())
