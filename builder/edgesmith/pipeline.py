"""The stages in their order; each verb asks for the last one that it needs."""

from __future__ import annotations

import fcntl
import functools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edgesmith.data.stage import Reference, reference_stage, samples_stage
from edgesmith.errors import UsageError
from edgesmith.events import EventStream, StageFinished
from edgesmith.export.stage import checked_sizes, export_stage, require_source
from edgesmith.files import host_file_errors
from edgesmith.model.user_code import Interpreter, interpreter_of
from edgesmith.model.user_metrics import require_metrics
from edgesmith.project.project import Project, Target
from edgesmith.quantize.calibrate.observation import Observed, observe_stage
from edgesmith.quantize.limits import require_budget, require_small_enough
from edgesmith.quantize.stage import QuantizeInputs, quantize_stage
from edgesmith.simplify.stage import simplify_stage
from edgesmith.stages import Context, Stage, StageResult, peek_stage, run_stage
from edgesmith.values import (
    Bundle,
    ExportedModel,
    GeneratedProject,
    QuantizedModel,
    SampleSet,
    SimplifiedModel,
)

if TYPE_CHECKING:
    from edgesmith.compile.compilers import Compiler

T = TypeVar("T")


class WouldRun(Exception):
    """In a dry run: the stage is not current, so what follows it can't be told."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One project's stages. With `dry_run` nothing runs; the first stage that would ends it."""

    project: Project
    context: Context
    dry_run: bool = False
    _compilers: dict[str, Compiler] = field(default_factory=dict)
    _targets: dict[str, Target] = field(default_factory=dict)
    _results: dict[str, StageResult[Any]] = field(default_factory=dict)

    def _once(self, stage: Stage[T]) -> StageResult[T]:
        name = f"{stage.name}/{stage.target or ''}"
        if name not in self._results:
            done = self._peek(stage) if self.dry_run else run_stage(stage, self.context)
            self._results[name] = done
        return cast("StageResult[T]", self._results[name])

    def _peek(self, stage: Stage[T]) -> StageResult[T]:
        result = peek_stage(stage, self.context)
        if result is None:
            raise WouldRun(stage.name)
        self.context.events.emit(
            StageFinished(
                stage=stage.name,
                target=stage.target,
                status="cached",
                seconds=0.0,
                key=result.key,
                folder=str(stage.folder),
            )
        )
        return result

    @functools.cached_property
    def interpreter(self) -> Interpreter:
        """The Python that runs the user's code; asked for its packages once."""
        return interpreter_of(self.project, self.context.events)

    def exported(self) -> StageResult[ExportedModel]:
        require_source(self.project)
        require_metrics(self.project)
        return self._once(export_stage(self.project, self.interpreter, self.context))

    def simplified(self) -> StageResult[SimplifiedModel]:
        return self._once(simplify_stage(self.project, self.exported(), self.context))

    def calibration(self) -> StageResult[SampleSet]:
        stage = samples_stage(
            self.project, self.interpreter, self.exported(), "calibration", self.context
        )
        return self._once(stage)

    def evaluation(self) -> StageResult[SampleSet]:
        stage = samples_stage(
            self.project, self.interpreter, self.exported(), "evaluation", self.context
        )
        return self._once(stage)

    def reference(self) -> StageResult[Reference]:
        stage = reference_stage(
            self.project, self.interpreter, self.exported(), self.evaluation(), self.context
        )
        return self._once(stage)

    def observed(self) -> StageResult[Observed]:
        """What every target's quantization shares; made when the first one asks for it."""
        stage = observe_stage(self.project, self.simplified(), self.calibration(), self.context)
        return self._once(stage)

    def quantized(self, target: str) -> StageResult[QuantizedModel]:
        """Raises GateError when the accuracy budget is missed; the files are there then too."""
        require_small_enough(self.project, self.project.target(target), self.exported().value)
        inputs = QuantizeInputs(
            sizes=checked_sizes(self.project, self.exported().value),
            simplified=self.simplified(),
            calibration=self.calibration(),
            observed=self.observed,
            evaluation=self.evaluation(),
            reference=self.reference(),
        )
        stage = quantize_stage(
            self.project, self.project.target(target), self.interpreter, inputs, self.context
        )
        result = self._once(stage)
        require_budget(result.value, self.project)
        return result

    def generated(self, target: str) -> StageResult[GeneratedProject]:
        from edgesmith.build_stages import generate_stage

        return self._once(
            generate_stage(
                self.project,
                self._target(target),
                self.quantized(target),
                self.compiler(target),
                self.context,
            )
        )

    def _target(self, name: str) -> Target:
        """The target as it is built: a runtime of the project's own is looked at once."""
        from edgesmith.build_stages import resolved_target

        if name not in self._targets:
            self._targets[name] = resolved_target(self.project.target(name), self.context)
        return self._targets[name]

    def compiler(self, target: str) -> Compiler:
        """The target's compiler, asked once what it is; raises ToolchainError and UsageError."""
        from edgesmith.build_stages import compiler_of

        if target not in self._compilers:
            self._compilers[target] = compiler_of(self.project.target(target), self.context)
        return self._compilers[target]

    def require_tools(self, targets: Iterable[str]) -> None:
        """Nothing is begun that lacks a compiler, a file of the project, or offline a download.

        Raises ToolchainError and UsageError.
        """
        from edgesmith.generate.plugins import require_plugin_libraries

        targets = tuple(targets)
        for built in map(self.project.target, targets):
            for provider in built.providers.values():
                require_plugin_libraries(provider, built.platform)
        if self.dry_run:
            return
        for target in targets:
            self._target(target)
            self.compiler(target)
        if not self.context.offline:
            return
        from edgesmith.compile.downloads import require_downloads

        project, cache = self.project, self.context.cache.root
        wanted = {name: project.target(name).platform for name in targets}
        needed = {name: platform for name, platform in wanted.items() if not self._is_made(name)}
        require_downloads(needed, cache=cache)

    def _is_made(self, target: str) -> bool:
        """Whether the target's generated project will be served without being made."""
        quiet = replace(self.context, events=EventStream())
        try:
            Pipeline(
                project=self.project,
                context=quiet,
                dry_run=True,
                _compilers=self._compilers,
                _targets=self._targets,
            ).generated(target)
        except WouldRun:
            return False
        return True

    def bundle(self, target: str) -> StageResult[Bundle]:
        from edgesmith.build_stages import bundle_stage

        return self._once(
            bundle_stage(
                self.project,
                self._target(target),
                self.exported(),
                self.quantized(target),
                self.generated(target),
                self.compiler(target),
                self.context,
            )
        )


@contextmanager
def project_lock(project: Project, context: Context) -> Iterator[None]:
    """Holds the project's build folder against another edgesmith; waits and says so."""
    path = project.build_folder / ".lock"
    with host_file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        if not _try_lock(file.fileno()):
            context.events.info("another edgesmith works on this project: waiting for it")
            while not _try_lock(file.fileno()):
                time.sleep(0.2)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def require_bundle(project: Project, target: str) -> Path:
    """The folder of a target's bundle; raises UsageError when it was not built."""
    folder = project.stage_folder("bundle", target)
    if not (folder / "manifest.json").is_file():
        raise UsageError(
            f"the target '{target}' has no bundle yet",
            where=str(folder),
            hint=f"build it first: edgesmith build --target {target}",
        )
    return folder
