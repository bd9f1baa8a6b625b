"""Judges a model file by all of `[data] metrics`: edgesmith's own and the project's functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgesmith.cache import Dependency
from edgesmith.data.samples import OUTPUTS
from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.metric_names import is_python_metric
from edgesmith.model.user_code import Interpreter
from edgesmith.model.user_metrics import OutputFiles, measure_user_metrics, python_metrics
from edgesmith.project.project import Project
from edgesmith.quantize.metrics import Array, Evaluation, evaluate
from edgesmith.stages import scratch_folder
from edgesmith.values import MetricValue, SessionOptions
from edgesmith.worker.tensors import SamplesWriter


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The metrics in the order of the project file, and what the user's code read for them."""

    metrics: tuple[MetricValue, ...]
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges every candidate by the same samples."""

    project: Project
    interpreter: Interpreter
    samples: Path
    reference: Path
    events: EventStream

    @property
    def evaluation(self) -> Evaluation:
        """What the metrics that edgesmith computes are computed from."""
        names = self.project.settings.data.metrics
        own = tuple(name for name in names if not is_python_metric(name))
        return Evaluation(samples=self.samples, reference=self.reference, metrics=own)

    def judge(self, model: Path, options: SessionOptions) -> Judgement:
        """Raises ModelError when a metric fails or does not fit the model."""
        names = self.project.settings.data.metrics
        if not python_metrics(names):
            return Judgement(metrics=evaluate(model, options, self.evaluation))
        with scratch_folder(self.project.build_folder) as folder:
            return self._with_outputs(model, options, Path(folder) / "outputs.safetensors")

    def _with_outputs(self, model: Path, options: SessionOptions, path: Path) -> Judgement:
        names = self.project.settings.data.metrics
        outputs = _Outputs(path)
        try:
            found = evaluate(model, options, self.evaluation, on_outputs=outputs.add)
            outputs.close()
        finally:
            outputs.discard()
        measured = measure_user_metrics(
            self.project,
            self.interpreter,
            python_metrics(names),
            OutputFiles(
                files={model.stem: path},
                names=outputs.names,
                samples=self.samples,
                reference=self.reference,
            ),
            events=self.events,
        )
        values = {one.name: one for one in found}
        for name, by_file in measured.values.items():
            one = by_file[model.stem]
            if one.failure is not None:
                raise one.failure
            assert one.value is not None
            values[name] = MetricValue(name=name, value=one.value, samples=one.samples)
        return Judgement(
            metrics=tuple(values[name] for name in names), dependencies=measured.dependencies
        )


class _Outputs:
    """The outputs of all samples, in a file."""

    def __init__(self, path: Path) -> None:
        self._writer = SamplesWriter(path)
        self.names: tuple[str, ...] = ()

    def add(self, outputs: dict[str, Array]) -> None:
        self.names = tuple(outputs)
        for name, value in outputs.items():
            before = self._writer.facts(OUTPUTS + name)
            if before is not None and before[1] != value.shape:
                raise ModelError(
                    f"the output '{name}' has the shape {list(value.shape)} for sample"
                    f" {self._writer.count}, {list(before[1])} for those before it",
                    where="data.metrics",
                    hint="give a metric in Python a model whose outputs keep their shape, such as"
                    " by padding them",
                )
        self._writer.add({OUTPUTS + name: value for name, value in outputs.items()})

    def close(self) -> None:
        self._writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})

    def discard(self) -> None:
        self._writer.discard()
