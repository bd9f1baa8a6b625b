"""The frozen values that stages hand to each other; each can be read back from its record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

RECORD = "record.json"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """An input or output: `dims` holds sizes, or names of dynamic dimensions."""

    name: str
    dtype: str
    dims: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class ParityCheck:
    """One numeric comparison of a model against the one before it.

    `inputs` says on which inputs, `sizes` gives the dynamic dimensions' values. The errors are
    the largest over all outputs: absolute, and relative to the reference's largest magnitude.
    """

    against: str
    inputs: str
    sizes: Mapping[str, int]
    max_abs_error: float
    max_rel_error: float
    tolerance_rel: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file beside an ONNX file that holds weights; `path` is relative to that one's folder."""

    path: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """An ONNX file below its stage's folder; `path` is relative to that folder.

    `bytes` and `sha256` are those of the file itself. `data_files` hold the weights of a model of
    more than 2 GB; one that edgesmith wrote names their hash, so that its own stands for both.
    """

    path: str
    sha256: str
    bytes: int
    opset: int
    ir_version: int
    nodes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    data_files: tuple[DataFile, ...] = ()

    @property
    def total_bytes(self) -> int:
        return self.bytes + sum(one.bytes for one in self.data_files)


@dataclass(frozen=True, kw_only=True)
class ExportAttempt:
    """What one exporter did; `reason` is empty for the one that was taken.

    `mode` is how it takes the model in: `export`, `trace` or `script`. Nodes are those of branches
    and loops too, counted after clean-up where several agree. `latency_ns` is known where equal
    ones were timed, `seconds` is what exporting took. `fixed` are the places where a trace made a
    constant of a value, so that its agreement holds for what was tried alone.
    """

    exporter: str
    taken: bool
    reason: str
    mode: str = ""
    agrees: bool = False
    nodes: int | None = None
    nodes_after_clean_up: int | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    seconds: float | None = None
    latency_ns: int | None = None
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The FP32 ONNX model with its proof against the source.

    `preprocess` holds, for each input that has one, what stands at the graph's head before the
    source's own model (the form of `worker/preprocess.py`). `weights_sha256` is that of a PyTorch
    source's parameters, empty for others. `sizes` holds for each dynamic dimension one size a
    check, `left_out` the extreme inputs that told nothing, with the reason.
    """

    onnx: OnnxFile
    source_kind: str
    exporter: str
    attempts: tuple[ExportAttempt, ...]
    parity: tuple[ParityCheck, ...]
    tools: Mapping[str, str]
    preprocess: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights_sha256: str = ""
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PassRecord:
    """What one pass of the clean-up did.

    `taken`: it changed the model, and the outputs stayed. `reason` says why it was dropped, and
    is empty where there was nothing to do. `max_rel_error` is None where nothing was compared.
    """

    name: str
    nodes_before: int
    nodes_after: int
    taken: bool
    reason: str
    max_rel_error: float | None


@dataclass(frozen=True, kw_only=True)
class SimplifiedModel:
    """The model after the passes that kept its outputs.

    `reason` says why it is the exported one as it was; with `simplified` it is empty.
    """

    onnx: OnnxFile
    simplified: bool
    reason: str
    nodes_before: int
    nodes_after: int
    parity: tuple[ParityCheck, ...]
    passes: tuple[PassRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """A file of samples (format "edgesmith-samples"), relative to its stage's folder.

    `expected`: its outputs are those that the model itself must give, as in ONNX's test data.
    """

    path: str
    sha256: str
    count: int
    labelled: bool
    with_reference: bool
    source: str
    expected: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """A metric of one variant against labels or the reference outputs."""

    name: str
    value: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How ONNX Runtime must be set up for a variant, in Python and on the device."""

    graph_optimization_level: str = "all"
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model file that goes into the bundle.

    `multiply_adds_per_sample` is a lower bound; None: not counted.
    """

    name: str
    onnx: OnnxFile
    precision: str
    encoding: str
    provider: str
    session_options: SessionOptions
    threads: int
    self_test_min_sqnr_db: float
    metrics: tuple[MetricValue, ...]
    multiply_adds_per_sample: int | None = None


@dataclass(frozen=True, kw_only=True)
class QuantizedModel:
    """A target's variants; `golden` and `evaluation` are sample files for the bundle."""

    target: str
    variants: tuple[Variant, ...]
    default_variant: str
    golden: SampleSet
    evaluation: SampleSet
    calibration_method: str
    accuracy_metric: str
    accuracy_loss: float
    accuracy_budget: float
    within_budget: bool


@dataclass(frozen=True, kw_only=True)
class GeneratedProject:
    """A CMake project on disk; `files` are relative to its folder."""

    target: str
    identifier: str
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PartSize:
    """Bytes of one part of a bundle; `on_device`: it stays on devices."""

    part: str
    on_device: bool
    bytes: int


@dataclass(frozen=True, kw_only=True)
class FileSize:
    """Bytes of one file of a bundle."""

    path: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class BundleSize:
    """What takes how much room: the release is what stays on a device."""

    parts: tuple[PartSize, ...]
    release_bytes: int
    archive_bytes: int
    largest: tuple[FileSize, ...]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An assembled bundle; `id` is the SHA-256 of manifest.json's bytes."""

    id: str
    target: str
    platform: str
    archive: str
    size: BundleSize
    variants: tuple[str, ...]
    default_variant: str


def to_record(value: object) -> dict[str, Any]:
    """A stage value as plain JSON types."""
    record: dict[str, Any] = dataclasses.asdict(cast(Any, value))
    return cast(dict[str, Any], json.loads(json.dumps(record, allow_nan=False)))


def from_record(cls: type[T], record: object) -> T:
    """A stage value from its JSON record; raises pydantic.ValidationError."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls).validate_python(record)


def write_record(folder: Path, value: object) -> None:
    """Writes `record.json`, by which a later run reads the stage's value back."""
    text = json.dumps(to_record(value), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n")


def read_record(cls: type[T], folder: Path) -> T:
    """The stage value that `folder` holds."""
    return from_record(cls, json.loads((folder / RECORD).read_text()))
