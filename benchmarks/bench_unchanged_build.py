"""How long `edgesmith build` takes when nothing has changed, against the build before it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import measure, verdict

LIMIT_WALL_S = 2.0
RUNS = 5
EXAMPLE = Path(__file__).parent.parent / "examples" / "digits"


def main() -> int:
    """Builds a copy of the digits example, then again; 1 when the limit is missed."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "digits"
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("build", "reports"))
        toml = project / "edgesmith.toml"
        # A name of its own, so that no earlier build of the example can serve this one.
        toml.write_text(toml.read_text().replace('version = "1.0.0"', f'version = "{unused()}"'))
        build = [sys.executable, "-m", "edgesmith", "build"]
        started = time.perf_counter()
        subprocess.run(build, cwd=project, check=True, capture_output=True)
        first_s = time.perf_counter() - started
        again = measure(build, runs=RUNS, cwd=project)
    print(f"first build: {first_s:.1f} s wall")
    print(f"unchanged build: {again.wall_s:.3f} s wall, {again.cpu_s:.3f} s CPU")
    print(f"ratio first to unchanged: {first_s / again.wall_s:.0f}")
    return 0 if verdict("unchanged build", again.wall_s, LIMIT_WALL_S, "s wall") else 1


def unused() -> str:
    """A version that was most likely never built before."""
    seconds = int(time.time())
    return f"9.{seconds // 100000 % 100000}.{seconds % 100000}"


if __name__ == "__main__":
    sys.exit(main())
