"""The OpenVINO bundle's harness against OpenVINO's own Python API and the cpu provider.

One thread, INT8 and FP32 of three networks. The sides take turns in fresh processes: the harness
by the openvino provider, OpenVINO 2025.4.1 (the release in the bundle) and the newest OpenVINO on
the same files, and the harness by the cpu provider, on the file that edgesmith makes for that.
Random weights do: latency does not depend on them. The two OpenVINOs are installed into
environments of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_project import write_project
from measure import harness_p50, verdict

HERE = Path(__file__).parent
NETWORKS = {
    "EfficientNet-Lite0": HERE.parent / "examples/efficientnet-lite0/model.py",
    "MobileNetV2": HERE / "mobilenet_v2.py",
    "ResNet-50": HERE / "resnet50.py",
}
TARGETS = """
[targets.openvino]
platform = "linux-x86_64-openvino"
cpu = "{cpu}"
[targets.cpu]
platform = "linux-x86_64"
cpu = "{cpu}"
"""
DATA = """import numpy as np


def _images(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield generator.standard_normal((1, 3, 224, 224)).astype(np.float32)


def calibration():
    for image in _images(8):
        yield {"image": image}


def evaluation():
    for image in _images(8):
        yield {"image": image}, None
"""
SAME_RELEASE = "2025.4.1"
LIMIT = 1.05
VNNI = {"avx512_vnni", "avx_vnni"}


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The interpreters with the two releases of OpenVINO."""

    same: Path
    newest: Path


def main() -> int:
    """Prints the figures of each network; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        same, newest = (
            environment(work / "same", f"=={SAME_RELEASE}"),
            environment(work / "newest", ""),
        )
        sides = Sides(same=same, newest=newest)
        for network in options.network or NETWORKS:
            bundles = built(work / network, NETWORKS[network])
            for variant in ("int8", "fp32"):
                title = f"{network} {variant}"
                held = (
                    compared(title, variant, bundles, sides, options.rounds, options.seconds)
                    and held
                )
    return 0 if held else 1


def environment(folder: Path, version: str) -> Path:
    """An interpreter that has a release of OpenVINO."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    wanted = [f"openvino{version}", "safetensors"]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python


def built(folder: Path, source: Path) -> dict[str, Path]:
    """The bundles for both providers, by target."""
    write_project(folder, source)
    (folder / "data.py").write_text(DATA)
    # Without VNNI OpenVINO's own integers of 8 bits would saturate: the file has 7 bits then.
    has_vnni = VNNI & set(Path("/proc/cpuinfo").read_text().split())
    settings = folder / "edgesmith.toml"
    text = settings.read_text().replace(
        "[targets.host]", 'calibration_samples = 8\nmetrics = ["cosine"]\n[targets.host]'
    )
    budget = "\n[quantize]\naccuracy_budget = 1.0\n"
    cpu = "icelake-server" if has_vnni else "haswell"
    settings.write_text(text + TARGETS.format(cpu=cpu) + budget)
    command = [sys.executable, "-m", "edgesmith", "build", "-q"]
    subprocess.run(
        [*command, "--target", "openvino", "--target", "cpu"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {name: folder / "build" / "one" / name / "bundle" for name in ("openvino", "cpu")}


def compared(
    title: str,
    variant: str,
    bundles: dict[str, Path],
    sides: Sides,
    rounds: int,
    seconds: float,
) -> bool:
    """Medians of the rounds' ratios against the limits."""
    bundle = bundles["openvino"]
    run: dict[str, Callable[[], float]] = {
        "harness": lambda: provider_p50(bundle, variant, "openvino", seconds),
        f"OpenVINO {SAME_RELEASE}": lambda: api_p50(sides.same, bundle, variant, seconds),
        "newest OpenVINO": lambda: api_p50(sides.newest, bundle, variant, seconds),
        "cpu provider": lambda: provider_p50(bundles["cpu"], variant, "cpu", seconds),
    }
    times: dict[str, list[float]] = {name: [] for name in run}
    for number in range(rounds):
        for name in run if number % 2 == 0 else reversed(run):
            times[name].append(run[name]())
    for name, values in times.items():
        print(f"{title}: {name} p50 {statistics.median(values) / 1e6:.3f} ms")
    held = True
    for name, values in list(times.items())[1:]:
        ratio = statistics.median(
            mine / other for mine, other in zip(times["harness"], values, strict=True)
        )
        if name == "newest OpenVINO":
            print(f"{title}: harness over {name}: {ratio:.3f} times")
        elif name == "cpu provider":
            limit = 1.0 if variant == "int8" else float("inf")
            held = verdict(f"{title}: harness over {name}", ratio, limit, "times") and held
        else:
            held = verdict(f"{title}: harness over {name}", ratio, LIMIT, "times") and held
    return held


def provider_p50(bundle: Path, variant: str, provider: str, seconds: float) -> float:
    """The harness' p50 in ns by one provider."""
    return harness_p50(
        bundle, "--variant", variant, "--provider", provider, "--require-provider",
        "--threads", "1", "--min-seconds", str(seconds), "--min-iterations", "20",
    )  # fmt: skip


def api_p50(python: Path, bundle: Path, variant: str, seconds: float) -> float:
    """OpenVINO's own p50 in ns, from one process."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    model = bundle / next(v["path"] for v in manifest["variants"] if v["name"] == variant)
    samples = bundle / "bench" / "samples.safetensors"
    done = subprocess.run(
        [python, HERE / "openvino_session.py", model, samples, str(seconds)],
        check=True,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    return float(json.loads(done.stdout)["p50_ns"])


if __name__ == "__main__":
    sys.exit(main())
