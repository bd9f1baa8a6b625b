"""A CUDA bundle's harness against Python's onnxruntime-gpu, on a machine with an NVIDIA GPU.

`bench_gpu.py BUNDLE`: for each variant, the harness and Python's InferenceSession take turns in
fresh processes on the same file, by the same execution provider, from host memory to host memory.
Needs `pip install onnxruntime-gpu` of the bundle's release instead of onnxruntime; without a GPU it
ends with exit code 1 and says which provider was missing. Without BUNDLE nothing is measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import harness_p50, verdict

HERE = Path(__file__).parent
ROUNDS, SECONDS, LIMIT = 7, 3.0, 1.05


def main(bundle: Path) -> int:
    """Prints p50 of both sides and their ratio for each variant; 1 when a limit is missed."""
    if not (bundle / "manifest.json").is_file():
        print(f"{bundle} is no bundle: it has no manifest.json", file=sys.stderr)
        return 2
    manifest = json.loads((bundle / "manifest.json").read_text())
    held = True
    for variant in manifest["variants"]:
        pairs = []
        for number in range(ROUNDS):
            sides = (ours_p50, python_p50) if number % 2 == 0 else (python_p50, ours_p50)
            found = {side: side(bundle, manifest, variant) for side in sides}
            pairs.append((found[ours_p50], found[python_p50]))
        harness, python = (statistics.median(side) for side in zip(*pairs, strict=True))
        name = f"{manifest['model']['name']} {variant['name']} by {variant['provider']}"
        print(f"{name}: p50 harness {harness / 1e6:.3f} ms, Python {python / 1e6:.3f} ms")
        ratio = statistics.median(mine / other for mine, other in pairs)
        held = verdict(f"{name}: harness over Python", ratio, LIMIT, "times") and held
    return 0 if held else 1


def ours_p50(bundle: Path, manifest: dict[str, Any], variant: dict[str, Any]) -> float:
    """The harness' p50 in ns; fails unless the variant's provider runs it."""
    named = ("--variant", str(variant["name"]), "--require-provider")
    return harness_p50(bundle, *named, "--min-seconds", str(SECONDS))


def python_p50(bundle: Path, manifest: dict[str, Any], variant: dict[str, Any]) -> float:
    """Python's p50 in ns, with the provider options of the bundle."""
    provider = variant["provider"]
    options = manifest["providers"][provider]["options"]
    samples = bundle / "bench" / "samples.safetensors"
    done = subprocess.run(
        [sys.executable, HERE / "gpu_session.py", bundle / variant["path"], samples, str(SECONDS),
         provider, json.dumps(options)],
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    return float(json.loads(done.stdout)["p50_ns"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("not measured: needs the folder of a CUDA bundle, on a machine with a GPU")
        sys.exit()
    try:
        sys.exit(main(Path(sys.argv[1])))
    except subprocess.CalledProcessError as error:
        sys.exit(f"a side failed with exit code {error.returncode}: {error.stderr or 'see above'}")
