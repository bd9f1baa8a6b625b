"""Export, arbitration and clean-up of ResNet-50 against both bare exports plus onnxsim."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image_project import write_project
from measure import verdict

LIMIT_RATIO = 1.5
RUNS = 3
HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one or several processes; `inner_s` is what they say of the work without imports."""

    wall_s: float
    cpu_s: float
    inner_s: float = 0.0


def main() -> int:
    """Measures both sides in turn; 1 when the limit is missed."""
    ours, bare = [], []
    for number in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as folder:
            pair = (ours_in(Path(folder)), bare_in(Path(folder)))
        # The first run fills the page cache.
        if number:
            ours.append(pair[0])
            bare.append(pair[1])
    for name, costs in (("edgesmith simplify", ours), ("two bare exports and onnxsim", bare)):
        wall, cpu = (statistics.median(getattr(c, k) for c in costs) for k in ("wall_s", "cpu_s"))
        print(f"{name}: {wall:.1f} s wall, {cpu:.1f} s CPU")
    inner = statistics.median(one.wall_s / two.inner_s for one, two in zip(ours, bare, strict=True))
    print(f"ratio to the bare work without the imports of its three processes: {inner:.2f}")
    cpu = statistics.median(one.cpu_s / two.cpu_s for one, two in zip(ours, bare, strict=True))
    print(f"ratio of CPU time: {cpu:.2f}")
    wall = statistics.median(one.wall_s / two.wall_s for one, two in zip(ours, bare, strict=True))
    return 0 if verdict("ratio of wall time", wall, LIMIT_RATIO, "x") else 1


def ours_in(folder: Path) -> Cost:
    """The export and simplify stages, with an empty cache."""
    project = folder / "project"
    write_project(project, HERE / "resnet50.py", name="resnet50")
    environment = {**os.environ, "EDGESMITH_CACHE": str(folder / "cache")}
    return cost([sys.executable, "-m", "edgesmith", "-q", "simplify"], project, environment)


def bare_in(folder: Path) -> Cost:
    """The same by hand: three processes."""
    run = [sys.executable, str(HERE / "bare_export.py")]
    first, second, last = (str(folder / f"{name}.onnx") for name in ("one", "two", "last"))
    steps = [
        cost([*run, *words], HERE, dict(os.environ), tells=True)
        for words in (["dynamo", first], ["torchscript", second], ["onnxsim", second, last])
    ]
    return Cost(
        wall_s=sum(one.wall_s for one in steps),
        cpu_s=sum(one.cpu_s for one in steps),
        inner_s=sum(one.inner_s for one in steps),
    )


def cost(
    argv: Sequence[str], folder: Path, environment: dict[str, str], *, tells: bool = False
) -> Cost:
    """What the process took, and with `tells` the seconds in its last line."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        argv, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(
        wall_s=wall,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        inner_s=float(done.stdout.strip().splitlines()[-1]) if tells else 0.0,
    )


if __name__ == "__main__":
    sys.exit(main())
