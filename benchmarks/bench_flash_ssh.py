"""How long the first flash of a bundle over SSH takes, against `scp` of the same bytes.

A real sshd on loopback. Once over a link of 100 Mbit/s, which a proxy makes, and once as fast as
the machine goes, where what flash does besides sending counts most: it starts Python, verifies
the bundle, and has the device verify, sync and self-test the release.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measure import verdict

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "device")]

from proxy import Proxy  # noqa: E402
from sshd import Client, Sshd  # noqa: E402

EXAMPLE = ROOT / "examples" / "digits"
LIMIT_RATIO = 1.5
ROUNDS = 9
LINK_BYTES_PER_S = 100e6 / 8
_RESAMPLES = 5000


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The ratio of two medians, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float


def main() -> int:
    """Measures both links; 1 when the limit is missed on the link of 100 Mbit/s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder)
        server = Sshd(folder=folder / "server")
        server.start()
        link = Proxy(server.port, bytes_per_s=LINK_BYTES_PER_S)
        try:
            client = Client.make(folder / "user")
            for host, port in (("link", link.port), ("loopback", server.port)):
                client.add_host(host, server, port=port)
                client.trust(server, port)
            slow = compare("link", project, server, client)
            fast = compare("loopback", project, server, client)
        finally:
            link.close()
            server.stop()
    for name, ratio in (("as fast as the machine goes", fast), ("at 100 Mbit/s", slow)):
        print(f"{name}: ratio {ratio.value:.2f}, 95 % [{ratio.low:.2f}, {ratio.high:.2f}]")
    return 0 if verdict("first flash against scp, 100 Mbit/s", slow.high, LIMIT_RATIO, "") else 1


def make_project(folder: Path) -> Path:
    """The digits example, built, with a device for each link."""
    project = folder / "digits"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("build", "reports"))
    build = [sys.executable, "-m", "edgesmith", "build", "-q"]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    with (project / "edgesmith.toml").open("a") as file:
        for name in ("link", "loopback"):
            file.write(f'\n[devices.{name}]\ntarget = "host"\ntransport = "ssh"\n')
            file.write(f'address = "{name}"\n')
    return project


def compare(host: str, project: Path, server: Sshd, client: Client) -> Ratio:
    """Both in turn, the first round not counted; every flash is a first one."""
    environment = {**os.environ, "PATH": client.path}
    release = release_files(project)
    flash = [sys.executable, "-m", "edgesmith", "flash", "-q", "--device", host]
    scp = ["scp", "-q", *map(str, release), f"{host}:{server.home / 'copied'}"]
    flashes, copies = [], []
    for number in range(ROUNDS + 1):
        for argv, walls in ((flash, flashes), (scp, copies)):
            for name in ("edgesmith", "copied"):
                shutil.rmtree(server.home / name, ignore_errors=True)
            (server.home / "copied").mkdir()
            started = time.perf_counter()
            subprocess.run(argv, cwd=project, env=environment, check=True, capture_output=True)
            if number:
                walls.append(time.perf_counter() - started)
    sent = sum(file.stat().st_size for file in release)
    print(
        f"{host}: {sent / 1e6:.1f} MB in {len(release)} files, {ROUNDS} rounds:"
        f" flash {statistics.median(flashes):.2f} s, scp {statistics.median(copies):.2f} s"
    )
    return ratio_of(flashes, copies)


def release_files(project: Path) -> list[Path]:
    """What a first flash sends: all but what is only measured with."""
    bundle = project / "build/digits/host/bundle"
    files = [p for p in bundle.rglob("*") if p.is_file() and p.suffix != ".tar"]
    return [p for p in files if p.relative_to(bundle).parts[0] not in ("bench", "record.json")]


def ratio_of(flashes: list[float], copies: list[float]) -> Ratio:
    """A bootstrap over the rounds, each of which had both in the same conditions."""
    generator = random.Random(1)
    pairs = list(zip(flashes, copies, strict=True))
    found = sorted(_ratio(generator.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    low, high = found[int(0.025 * _RESAMPLES)], found[int(0.975 * _RESAMPLES)]
    return Ratio(value=_ratio(pairs), low=low, high=high)


def _ratio(pairs: list[tuple[float, float]]) -> float:
    flashes, copies = zip(*pairs, strict=True)
    return statistics.median(flashes) / statistics.median(copies)


if __name__ == "__main__":
    sys.exit(main())
