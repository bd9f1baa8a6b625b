"""A measurement with metrics of the project's own: outputs reach them, and nothing stays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import device_world
import numpy as np
import pytest
from device_world import World
from safetensors.numpy import save
from test_devices_bench import Harness, ready
from test_user_metrics import sample_file, value_of

from edgesmith.devices.bench import BenchRequest, Measured, bench
from edgesmith.devices.fake import Answer
from edgesmith.errors import EdgesmithError, HarnessError, IntegrityError, ModelError
from edgesmith.model.user_metrics import OutputFiles, UserMetrics, UserMetricValue, failed_values
from edgesmith.report.schema import load_report

METRIC = "metrics.py:score"
BOTH = ("fp32", "int8")
Array = np.ndarray[Any, Any]


@dataclass(kw_only=True)
class Device:
    """A device whose harness leaves outputs, and a metric that looks at them."""

    world: World
    folder: Path
    written: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measure(self, metrics: Any = None, *, keep_outputs: bool = False) -> Measured:
        harness = self.world.facts.programs["harness"]
        assert isinstance(harness, Harness)
        assert isinstance(harness.report, dict)
        report = copy.deepcopy(harness.report)
        report["comparisons"][0]["accuracy_loss"]["metric"] = METRIC
        for run in report["runs"]:
            run["outputs"] = self.told[run["requested"]["variant"]]
        harness.report = report

        def program(words: Sequence[str]) -> Answer:
            folder = Path(words[words.index("--outputs-folder") + 1])
            for variant, content in self.written.items():
                (folder / f"{variant}.safetensors").write_bytes(content)
            return harness(words)

        self.world.facts.programs["harness"] = program
        request = BenchRequest(
            bundle_folder=self.world.bundle,
            device=self.world.device,
            reports_folder=self.folder / "reports",
            settings={},
            accuracy_budget=0.5,
            id_salt="edgesmith digits",
            user_metrics=metrics,
            keep_outputs=keep_outputs,
        )
        return bench(request, events=self.world.events, transport=self.world.transport)


def outputs_bytes(count: int = 4) -> bytes:
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)}
    return save({"outputs/logits": np.zeros((count, 1, 10), np.float32)}, metadata)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    path = sample_file(tmp_path / "s", inputs__x=np.zeros((4, 1)), labels=np.zeros(4, np.int64))
    content = ("bench", "0644", path.read_bytes())
    monkeypatch.setitem(device_world.CONTENT, "bench/samples.safetensors", content)
    monkeypatch.setattr(device_world, "METRICS", [METRIC, "top1"])
    return Device(
        world=ready(tmp_path, monkeypatch),
        folder=tmp_path,
        written=dict.fromkeys(BOTH, outputs_bytes()),
        told={variant: {"file": f"{variant}.safetensors"} for variant in BOTH},
    )


class Fixed(UserMetrics):
    """Gives values without running anything."""

    def __init__(self, give: Callable[[str], UserMetricValue]) -> None:
        object.__setattr__(self, "give", give)
        object.__setattr__(self, "seen", [])

    def measure(
        self, metrics: Sequence[str], outputs: OutputFiles
    ) -> dict[str, dict[str, UserMetricValue]]:
        vars(self)["seen"].append((tuple(metrics), dict(outputs.files), tuple(outputs.names)))
        assert all(path.is_file() for path in outputs.files.values())
        return {m: {name: vars(self)["give"](name) for name in outputs.files} for m in metrics}


def test_outputs_of_both_variants_reach_the_metric_and_go(device: Device) -> None:
    fixed = Fixed(lambda name: value_of([1.0, 1.0, 1.0, 0.5 if name == "int8" else 1.0]))
    measured = device.measure(fixed)
    ((metrics, files, names),) = vars(fixed)["seen"]
    assert (metrics, set(files), names) == ((METRIC,), set(BOTH), ("logits",))
    report = load_report(measured.file)
    assert [run["accuracy"][-1]["value"] for run in report["runs"]] == [1.0, 0.875]
    assert report["comparisons"][0]["accuracy_loss"]["value"] == 0.125
    assert report["decision"]["ship"] == "int8"
    assert measured.failure() is None
    assert measured.outputs == {}
    left = {p.name for p in measured.file.parent.iterdir()}
    assert left == {measured.file.name, str(measured.samples and measured.samples.name)}


def test_kept_outputs_lie_beside_the_report(device: Device) -> None:
    measured = device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)
    for variant in BOTH:
        kept = measured.outputs[variant]
        assert kept == measured.file.with_name(
            f"{measured.file.stem}.outputs.{variant}.safetensors"
        )
        assert kept.read_bytes() == device.written[variant]
        assert load_report(measured.file)["outputs"][variant]["file"] == kept.name


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a file of samples"),
        (outputs_bytes()[:100], "not a file of samples"),
        (save({"x": np.zeros((4, 1))}, {"count": "4"}), "no outputs of 4 samples"),
        (save({"outputs/x": np.zeros((3, 1))}, {"count": "4"}), "no outputs of 4 samples"),
        (save({"outputs/x": np.zeros(())}, {"count": "4"}), "no outputs of 4 samples"),
        (None, "No such file"),
    ],
)
def test_outputs_that_cannot_be_used_cost_the_metric_only(
    device: Device, content: bytes | None, says: str
) -> None:
    device.written["int8"] = content or b""
    if content is None:
        device.told["int8"] = {"file": None, "reason": "cannot write: No such file"}
    measured = device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)
    report = load_report(measured.file)
    assert all(run["latency"] for run in report["runs"])
    first, second = (run["accuracy"][-1] for run in report["runs"])
    assert first["value"] == 1.0
    assert second["value"] is None and says in second["reason"]
    assert report["comparisons"][0]["accuracy_loss"]["value"] is None
    assert says in report["outputs"]["int8"]["reason"]
    failure = measured.failure()
    assert isinstance(failure, HarnessError)
    assert set(measured.outputs) == {"fp32"}


def test_a_report_of_a_variant_that_nobody_asked_for_is_refused(device: Device) -> None:
    harness = device.world.facts.programs["harness"]
    assert isinstance(harness, Harness) and isinstance(harness.report, dict)
    harness.report["runs"][1]["requested"]["variant"] = "../../int8"
    device.told["../../int8"] = {"file": "x"}
    with pytest.raises(IntegrityError, match="not asked"):
        device.measure(Fixed(lambda name: value_of(1.0)), keep_outputs=True)


def test_a_failing_metric_keeps_the_figures(device: Device) -> None:
    error: EdgesmithError = ModelError("boom", where="metrics.py:1 in score", hint="mend it")
    measured = device.measure(Fixed(lambda name: failed_values([name], error)[name]))
    report = load_report(measured.file)
    assert all(run["latency"]["percentiles"]["50"]["value"] for run in report["runs"])
    assert len(report["metric_errors"]) == 2
    assert report["decision"]["ship"] is None
    failure = measured.failure()
    assert failure is not None and failure.exit_code == 3
    assert failure.hint == "mend it"
