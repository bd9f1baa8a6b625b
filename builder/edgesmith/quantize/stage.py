"""The quantize stage: a target's variants, their metrics, and the samples that go with them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.data.stage import Reference
from edgesmith.errors import ModelError
from edgesmith.model import onnx_file
from edgesmith.model.operations import multiply_adds_per_sample
from edgesmith.model.user_code import Interpreter, own_interpreter
from edgesmith.model.user_metrics import python_metrics
from edgesmith.model.weight_files import copy_model
from edgesmith.project.project import Project, Target
from edgesmith.quantize.audit import Asked, Audit, audit, fused_graph
from edgesmith.quantize.bundle_samples import write_golden, write_samples
from edgesmith.quantize.calibrate.observation import Observed, load
from edgesmith.quantize.candidates import Candidate, chosen_of
from edgesmith.quantize.dynamic import suits
from edgesmith.quantize.encoding import Encoding, encoding_for
from edgesmith.quantize.half.convert import convert_to_half
from edgesmith.quantize.half.result import HalfModel, half_report, half_words
from edgesmith.quantize.judging import Judge
from edgesmith.quantize.library import operators_to_quantize
from edgesmith.quantize.limits import require_platform
from edgesmith.quantize.metrics import Evaluation, loss
from edgesmith.quantize.quantizer import Int8Model, Quantizer
from edgesmith.quantize.report import tensors_told, write_report
from edgesmith.quantize.static import excluded_nodes
from edgesmith.quantize.variants import (
    DYNAMIC,
    HALF,
    NO_SILENT_QUANTIZATION,
    has_half,
    target_key,
    variant_of,
)
from edgesmith.stages import Context, Made, Stage, StageResult, scratch_folder
from edgesmith.values import (
    MetricValue,
    QuantizedModel,
    SampleSet,
    SessionOptions,
    SimplifiedModel,
    Variant,
    to_record,
)

AUTOMATIC_METHODS = ("minmax", "mse", "percentile", "entropy")
# A loss of 0.01 is within a budget of 0.01, whatever the last bit of 0.97 - 0.96 is.
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class QuantizeInputs:
    """What the stages before left; `observed` is made when it is asked for.

    `sizes` are those at which dynamic dimensions are checked.
    """

    sizes: Mapping[str, Sequence[int]]
    simplified: StageResult[SimplifiedModel]
    calibration: StageResult[SampleSet]
    observed: Callable[[], StageResult[Observed]]
    evaluation: StageResult[SampleSet]
    reference: StageResult[Reference]


def quantize_stage(
    project: Project,
    target: Target,
    interpreter: Interpreter,
    inputs: QuantizeInputs,
    context: Context,
) -> Stage[QuantizedModel]:
    """The stage that makes `build/<model>/<target>/quantize`."""
    encoding = encoding_for(target) if target.quantize.precision == "int8" else None
    judge = _judge(project, interpreter, inputs, context)
    work = _Work(
        project=project,
        target=target,
        inputs=inputs,
        encoding=encoding,
        judge=judge,
        context=context,
    )
    return Stage(
        name="quantize",
        target=target.name,
        folder=project.stage_folder("quantize", target.name),
        base=project.folder,
        key_parts={
            "model": inputs.simplified.value.onnx.sha256,
            "calibration": inputs.calibration.value.sha256,
            "evaluation": inputs.evaluation.value.sha256,
            "reference": inputs.reference.value.samples.sha256,
            "settings": target.quantize.model_dump(mode="json"),
            "metrics": list(project.settings.data.metrics),
            "metrics_run_by": _runs_metrics(project, interpreter),
            "encoding": to_record(encoding) if encoding else "float",
            "sizes": inputs.sizes,
            **target_key(target),
            "target": target.name,
            "threads": target.bench.threads[0],
            "tools": dict(own_interpreter().versions),
        },
        value_type=QuantizedModel,
        make=work.make,
        state=project.state_folder,
    )


def _judge(
    project: Project, interpreter: Interpreter, inputs: QuantizeInputs, context: Context
) -> Judge:
    return Judge(
        project=project,
        interpreter=interpreter,
        samples=inputs.evaluation.folder / inputs.evaluation.value.path,
        reference=inputs.reference.folder / inputs.reference.value.samples.path,
        events=context.events,
    )


def _runs_metrics(project: Project, interpreter: Interpreter) -> dict[str, Any] | None:
    """What else decides the metrics of the project's own functions; their files are read later."""
    if not python_metrics(project.settings.data.metrics):
        return None
    return {"depends": list(project.settings.model.depends), "tools": dict(interpreter.versions)}


@dataclass(frozen=True, kw_only=True)
class _Work:
    project: Project
    target: Target
    inputs: QuantizeInputs
    encoding: Encoding | None
    judge: Judge
    context: Context
    made_by: Quantizer | None = None

    @property
    def quantizer(self) -> Quantizer:
        assert self.made_by is not None
        return self.made_by

    @property
    def _evaluation(self) -> Evaluation:
        return self.judge.evaluation

    def make(self, folder: Path) -> Made[QuantizedModel]:
        if self.encoding is None:
            return self._make(folder)
        with scratch_folder(self.project.build_folder) as name:
            quantizer = self._quantizer(Path(name), self.encoding)
            return dataclasses.replace(self, made_by=quantizer)._make(folder)

    def _quantizer(self, scratch: Path, encoding: Encoding) -> Quantizer:
        observed, calibration = self.inputs.observed(), self.inputs.calibration
        return Quantizer(
            prepared=observed.folder / observed.value.prepared,
            found=load(observed.folder / observed.value.path),
            samples=calibration.folder / calibration.value.path,
            encoding=encoding,
            exclude=self.target.quantize.exclude,
            sizes=self.inputs.sizes,
            folder=scratch,
            events=self.context.events,
        )

    def _make(self, folder: Path) -> Made[QuantizedModel]:
        deciding = self.project.settings.data.metrics[0]
        simplified = self.inputs.simplified
        require_platform(self.target, simplified.value)
        copy_model(simplified.folder, simplified.value.onnx, folder / "fp32.onnx")
        baseline = self.judge.judge(folder / "fp32.onnx", self._options())
        made = {"fp32": baseline}
        tried: list[Candidate] = []
        half = self._half(folder / f"{HALF}.onnx", baseline.metrics, deciding)
        if half is not None:
            made[HALF] = half.judgement
            tried = [half] if self.encoding is None else []
        if self.encoding is not None:
            tried = self._quantized(self.encoding, baseline.metrics, deciding)
            shutil.copyfile(tried[0].path, folder / "int8.onnx")
            made["int8"] = tried[0].judgement
            dynamic = self._dynamic(folder / f"{DYNAMIC}.onnx", baseline.metrics, deciding)
            if dynamic is not None:
                tried.append(dynamic)
                made[DYNAMIC] = dynamic.judgement
        # Quantized forms multiply as often; not all of their operators have shapes to count by.
        count = multiply_adds_per_sample(onnx_file.load(folder / "fp32.onnx", data=False))
        encoding = self.encoding.name if self.encoding else ""
        variants = tuple(
            variant_of(
                folder, name, one.metrics, target=self.target, encoding=encoding, count=count
            )
            for name, one in made.items()
        )
        judged = (*made.values(), *(candidate.judgement for candidate in tried))
        read = sorted({one for judgement in judged for one in judgement.dependencies})
        made_half = half.model if half and isinstance(half.model, HalfModel) else None
        value = self._finish(folder, variants, tried, made_half)
        return Made(value=value, dependencies=tuple(read))

    def _finish(
        self,
        folder: Path,
        variants: tuple[Variant, ...],
        tried: list[Candidate],
        half: HalfModel | None,
    ) -> QuantizedModel:
        budget = self.target.quantize.accuracy_budget
        chosen = chosen_of(tried, budget)
        lost = chosen.loss if chosen else 0.0
        value = QuantizedModel(
            target=self.target.name,
            variants=variants,
            default_variant=chosen.variant if chosen else "fp32",
            golden=write_golden(folder, variants, self._evaluation, self._judging()),
            evaluation=write_samples(folder, self._evaluation),
            calibration_method=chosen.method if chosen else "none",
            accuracy_metric=self.project.settings.data.metrics[0],
            accuracy_loss=lost,
            accuracy_budget=budget,
            within_budget=lost <= budget,
        )
        self._write_report(folder, value, tried, half)
        return value

    def _judging(self) -> dict[str, SessionOptions]:
        """For each variant, how its outputs on the target are computed here."""
        options = self._options()
        int8 = self.encoding.judging(options) if self.encoding else options
        return {"fp32": options, HALF: options, "int8": int8, DYNAMIC: options}

    def _options(self) -> SessionOptions:
        return SessionOptions(config=NO_SILENT_QUANTIZATION)

    def _quantized(
        self, encoding: Encoding, baseline: tuple[MetricValue, ...], metric: str
    ) -> list[Candidate]:
        """All static candidates that were needed, the best first."""
        asked = self.target.quantize.calibration
        methods = AUTOMATIC_METHODS if asked == "auto" else (asked,)
        candidates: list[Candidate] = []
        for method in methods:
            model = self.quantizer.quantize(method)
            candidates.append(self._static(model, encoding, baseline, metric))
            if self._fits(candidates[-1]):
                break
        best = min(candidates, key=lambda candidate: candidate.loss)
        if asked == "auto" and isinstance(best.model, Int8Model) and not self._fits(best):
            model = self.quantizer.quantize_by_tensor(best.model)
            candidates.append(self._static(model, encoding, baseline, metric))
        return sorted(candidates, key=lambda candidate: candidate.loss)

    def _fits(self, candidate: Candidate) -> bool:
        return candidate.loss <= self.target.quantize.accuracy_budget

    def _static(
        self,
        model: Int8Model,
        encoding: Encoding,
        baseline: tuple[MetricValue, ...],
        metric: str,
    ) -> Candidate:
        options = encoding.judging(self._options())
        return self._judged(model.method, model.path, options, baseline, metric, model)

    def _dynamic(
        self, path: Path, baseline: tuple[MetricValue, ...], metric: str
    ) -> Candidate | None:
        """None where the model is not made for it, or, with a warning, where it fails."""
        wanted = self.target.quantize.dynamic
        fits = self.target.provider_of("int8").name == "cpu" and suits(self.quantizer.source)
        if wanted == "never" or (wanted == "auto" and not fits):
            return None

        def make() -> Candidate:
            self.quantizer.quantize_dynamically(path)
            return self._judged("dynamic", path, self._options(), baseline, metric)

        return self._tried(make, path, required=wanted == "always")

    def _half(self, path: Path, baseline: tuple[MetricValue, ...], metric: str) -> Candidate | None:
        """None where it is not wanted or, beside INT8 and with a warning, where it fails."""
        if not has_half(self.target):
            return None
        return self._tried(
            lambda: self._converted(path, baseline, metric), path, required=self.encoding is None
        )

    def _tried(
        self, make: Callable[[], Candidate], path: Path, *, required: bool
    ) -> Candidate | None:
        """What `make` leaves at `path`; None, with a warning, where that fails and may."""
        try:
            return make()
        except ModelError as error:
            if required:
                raise
            self.context.events.warning(f"quantize: there is no variant {path.stem}: {error.what}")
            path.unlink(missing_ok=True)
            return None

    def _converted(self, path: Path, baseline: tuple[MetricValue, ...], metric: str) -> Candidate:
        observed, calibration = self.inputs.observed(), self.inputs.calibration
        prepared = observed.folder / observed.value.prepared
        excluded = excluded_nodes(onnx_file.load(prepared), self.target.quantize.exclude)
        with scratch_folder(self.project.build_folder) as name:
            half = convert_to_half(
                prepared,
                path,
                found=load(observed.folder / observed.value.path),
                samples=calibration.folder / calibration.value.path,
                exclude=frozenset(excluded),
                rounded_path=Path(name) / path.name,
                events=self.context.events,
            )
            tell = self.context.events.info if half.converted else self.context.events.warning
            tell(f"quantize: {half_words(half)}")
            return self._judged_as_rounded(half, baseline, metric)

    def _judged_as_rounded(
        self, half: HalfModel, baseline: tuple[MetricValue, ...], metric: str
    ) -> Candidate:
        """By what a GPU would give: a CPU computes much of FP16 in FP32."""
        try:
            judged = self._judged(HALF, half.rounded, self._options(), baseline, metric, half)
        except ModelError as error:
            raise ModelError(
                f"in FP16: {error.what}",
                where=error.where,
                hint="let data.calibration yield samples like these of data.evaluation: what"
                " overflows there stays in FP32",
            ) from error
        return dataclasses.replace(judged, path=half.path)

    def _judged(
        self,
        method: str,
        path: Path,
        options: SessionOptions,
        baseline: tuple[MetricValue, ...],
        metric: str,
        model: Int8Model | HalfModel | None = None,
    ) -> Candidate:
        judgement = self.judge.judge(path, options)
        lost = round(loss(baseline, judgement.metrics, metric), _DIGITS)
        self.context.events.debug(f"quantize: {method} loses {lost:.4g} in {metric}")
        return Candidate(method=method, path=path, judgement=judgement, loss=lost, model=model)

    def _write_report(
        self, folder: Path, value: QuantizedModel, tried: list[Candidate], half: HalfModel | None
    ) -> None:
        write_report(
            folder,
            {
                **to_record(value),
                "tried": [one.told() for one in tried],
                **self._layers(tried[0].model if tried else None),
                "half": half_report(half) if half else None,
                "audit": {
                    variant.name: to_record(self._audit(folder, variant))
                    for variant in value.variants
                    # What another provider makes of a model only a device can tell.
                    if variant.provider == "cpu"
                },
            },
        )

    def _audit(self, folder: Path, variant: Variant) -> Audit:
        fused = fused_graph(
            folder / variant.onnx.path,
            variant.session_options,
            scratch=self.project.build_folder,
            signed=self.encoding is not None and self.encoding.activation_signed,
        )
        if variant.name != "int8":
            return audit(fused)
        asked = Asked(
            prepared=self.quantizer.model,
            quantizable=operators_to_quantize(),
            excluded=self.quantizer.excluded,
            kept=self.quantizer.kept,
        )
        return audit(fused, asked)

    def _layers(self, best: Int8Model | HalfModel | None) -> dict[str, Any]:
        if not isinstance(best, Int8Model):
            return {"tensors": [], "weight_rounding": []}
        rounding = [to_record(one) for one in best.rounding]
        tensors = tensors_told(self.quantizer.found, best.ranges)
        return {"tensors": tensors, "weight_rounding": rounding}
