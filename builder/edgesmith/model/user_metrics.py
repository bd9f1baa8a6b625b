"""The project's own metrics: functions that get a model's outputs, in the worker process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.cache import Dependency
from edgesmith.errors import EdgesmithError, ModelError
from edgesmith.events import EventStream
from edgesmith.metric_names import is_python_metric, metric_file
from edgesmith.model.user_code import Interpreter, call_worker, interpreter_of
from edgesmith.project.project import Project

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class UserMetricValue:
    """What a metric gave for one model.

    `per_sample` is None where it gave one number for all; with a `failure` there is no value.
    """

    value: float | None
    per_sample: Array | None
    samples: int
    failure: EdgesmithError | None = None


@dataclass(frozen=True, kw_only=True)
class OutputFiles:
    """Files of outputs by name, the outputs' names in the model's order, and what to expect.

    `samples` holds the labels, if there are any, and `reference` the reference outputs.
    """

    files: Mapping[str, Path]
    names: Sequence[str]
    samples: Path
    reference: Path


@dataclass(frozen=True, kw_only=True)
class UserMetricValues:
    """Values by metric and by the outputs' name, and what the user's code read for them."""

    values: Mapping[str, Mapping[str, UserMetricValue]]
    dependencies: tuple[Dependency, ...]


def python_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Those that are functions of the project, each once."""
    return tuple(dict.fromkeys(name for name in names if is_python_metric(name)))


def require_metrics(project: Project) -> None:
    """Raises ModelError when the file of a metric is missing."""
    for index, name in enumerate(project.settings.data.metrics):
        if is_python_metric(name) and not (project.folder / metric_file(name)).is_file():
            raise ModelError(
                f"the file '{metric_file(name)}' does not exist",
                where=f"{project.file}, data.metrics[{index}] = {name!r}",
                hint="correct the path; it is relative to the project file",
            )


def measure_user_metrics(
    project: Project,
    interpreter: Interpreter,
    metrics: Sequence[str],
    outputs: OutputFiles,
    *,
    events: EventStream,
) -> UserMetricValues:
    """Runs the metrics; one that fails is a value with its failure.

    Raises ModelError when the process itself ended, hung or ran out of memory.
    """
    done = call_worker(
        project,
        interpreter,
        "metrics",
        {
            "metrics": list(metrics),
            "outputs": {name: str(path) for name, path in outputs.files.items()},
            "names": list(outputs.names),
            "samples": str(outputs.samples),
            "reference": str(outputs.reference),
        },
        where=f"data.metrics = {list(metrics)!r}",
        events=events,
    )
    found = done.result["found"]
    values = {
        metric: {name: _value(one) for name, one in found[metric].items()} for metric in metrics
    }
    return UserMetricValues(values=values, dependencies=done.dependencies)


@dataclass(frozen=True, kw_only=True)
class UserMetrics:
    """The metrics of a project, for outputs that a device gave."""

    project: Project
    events: EventStream

    def measure(
        self, metrics: Sequence[str], outputs: OutputFiles
    ) -> dict[str, dict[str, UserMetricValue]]:
        """Values by metric and by the outputs' name; every failure is a value with its failure.

        `metrics` are a bundle's: only what the project file names is run.
        """
        named = self.project.settings.data.metrics
        values = {
            metric: failed_values(outputs.files, _not_named(metric, self.project))
            for metric in metrics
            if metric not in named
        }
        known = [metric for metric in metrics if metric in named]
        if not known:
            return values
        try:
            interpreter = interpreter_of(self.project, self.events)
            found = measure_user_metrics(
                self.project, interpreter, known, outputs, events=self.events
            )
        except EdgesmithError as error:
            return values | {metric: failed_values(outputs.files, error) for metric in known}
        return values | {metric: dict(by_name) for metric, by_name in found.values.items()}


def failed_values(names: Iterable[str], failure: EdgesmithError) -> dict[str, UserMetricValue]:
    """The same failure for each name."""
    none = UserMetricValue(value=None, per_sample=None, samples=0, failure=failure)
    return dict.fromkeys(names, none)


def _not_named(metric: str, project: Project) -> ModelError:
    return ModelError(
        f"the bundle was built with the metric '{metric}', which the project no longer has",
        where=f"{project.file}, data.metrics",
        hint="build and flash the bundle anew",
    )


def _value(record: Mapping[str, Any]) -> UserMetricValue:
    import numpy as np

    failed = record["failure"]
    if failed is not None:
        error = ModelError(failed["what"], where=failed["where"], hint=failed["hint"])
        return UserMetricValue(value=None, per_sample=None, samples=0, failure=error)
    values = np.asarray(record["values"], np.float64)
    return UserMetricValue(
        value=float(values.mean()),
        per_sample=values if values.ndim else None,
        samples=int(record["samples"]),
    )
