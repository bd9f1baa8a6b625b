"""The sample files of a bundle: a few golden ones for the self-test, and all for the bench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgesmith.data.samples import GROUPS, INPUTS, LABELS, OUTPUTS, Samples
from edgesmith.hashing import sha256_file
from edgesmith.model import numeric
from edgesmith.quantize.metrics import Evaluation
from edgesmith.values import SampleSet, SessionOptions, Variant
from edgesmith.worker.tensors import SamplesWriter

MAX_GOLDEN = 8
_METADATA = {"format": "edgesmith-samples", "schema_version": "1.0"}


def write_samples(folder: Path, evaluation: Evaluation) -> SampleSet:
    """All evaluation samples with reference outputs and labels."""
    return _write(folder / "samples.safetensors", evaluation, None, {})


def write_golden(
    folder: Path,
    variants: tuple[Variant, ...],
    evaluation: Evaluation,
    judging: Mapping[str, SessionOptions],
) -> SampleSet:
    """The first MAX_GOLDEN samples, also with what each variant gives on the target.

    `judging` says, for each variant, with which session options that is computed here.
    """
    sessions = {
        v.name: numeric.open_session(folder / v.onnx.path, judging[v.name], threads=v.threads)
        for v in variants
    }
    return _write(folder / "golden.safetensors", evaluation, MAX_GOLDEN, sessions)


def _write(
    path: Path, evaluation: Evaluation, limit: int | None, sessions: Mapping[str, Any]
) -> SampleSet:
    samples, reference = Samples(evaluation.samples), Samples(evaluation.reference)
    numbers = {key: samples.whole(key) for key in (LABELS, GROUPS) if samples.has(key)}
    count = samples.count if limit is None else min(limit, samples.count)
    writer = SamplesWriter(path)
    try:
        for index in range(count):
            feeds = samples.group(INPUTS, index)
            tensors: dict[str, Any] = {INPUTS + n: v for n, v in feeds.items()}
            tensors |= {OUTPUTS + n: v for n, v in reference.group(OUTPUTS, index).items()}
            tensors |= {k: np.asarray(v[index], np.int64) for k, v in numbers.items()}
            for name, session in sessions.items():
                outputs = numeric.run_session(session, feeds, shown_as=name)
                tensors |= {f"expected/{name}/{n}": v for n, v in outputs.items()}
            writer.add(tensors)
        writer.close(_METADATA)
    finally:
        writer.discard()
    return SampleSet(
        path=path.name,
        sha256=sha256_file(path),
        count=count,
        labelled=LABELS in numbers,
        with_reference=True,
        source="evaluation",
    )
