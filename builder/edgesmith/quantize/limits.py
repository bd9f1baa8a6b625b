"""What a target can't take, and what its project does not allow."""

from __future__ import annotations

from edgesmith.errors import GateError, ModelError
from edgesmith.project.project import Project, Target
from edgesmith.quantize.variants import HALF
from edgesmith.values import ExportedModel, QuantizedModel, SimplifiedModel

_SMALL_BITS = 32


def require_platform(target: Target, simplified: SimplifiedModel) -> None:
    """Raises ModelError when the target's ONNX Runtime is too old for the model."""
    platform = target.platform
    found, allowed = simplified.onnx.opset, platform.max_opset
    if found > allowed or simplified.onnx.ir_version > platform.max_ir_version:
        raise ModelError(
            f"the model has opset {found} and IR version {simplified.onnx.ir_version};"
            f" {platform.runtime.title} of {platform.name} takes at most"
            f" {allowed} and {platform.max_ir_version}",
            where="model.opset",
            hint=f"set [model] opset = {allowed} or less, or export the ONNX file anew",
        )


def require_small_enough(project: Project, target: Target, exported: ExportedModel) -> None:
    """Raises ModelError when a model of more than 2 GB can't become what the target needs."""
    if not exported.onnx.data_files:
        return
    size = f"the model has {exported.onnx.total_bytes / 1e9:.1f} GB"
    if target.platform.elf.bits == _SMALL_BITS:
        raise ModelError(
            f"{size}; a program of {target.platform.name} can't load more than 2 GB",
            where=f"{project.file}, targets.{target.name}",
            hint="take a 64-bit platform, or a smaller model",
        )
    if target.quantize.precision == "fp32":
        return
    raise ModelError(
        f"{size}; quantization holds a model in one file, which takes at most 2 GB",
        where=f"{project.file}, quantize.precision, target '{target.name}'",
        hint='set precision = "fp32" under [quantize] or for this target',
    )


def _title(quantized: QuantizedModel) -> str:
    return "FP16" if quantized.default_variant == "fp16" else "INT8"


def require_budget(quantized: QuantizedModel, project: Project) -> None:
    """Raises GateError when the INT8 model loses more than the budget allows."""
    if quantized.within_budget:
        return
    raise GateError(
        f"{_title(quantized)} loses {quantized.accuracy_loss:.4g} in {quantized.accuracy_metric},"
        f" the budget is {quantized.accuracy_budget:.4g}"
        f"{_best(quantized)}",
        where=f"{project.file}, quantize.accuracy_budget, target '{quantized.target}'",
        hint="see that calibration yields what evaluation does (quantize/report.json tells each"
        " tensor's range), give more calibration samples, keep sensitive layers in float with"
        ' [quantize] exclude, raise the budget, or set precision = "fp32"',
    )


def _best(quantized: QuantizedModel) -> str:
    """FP16 has one way alone."""
    method = quantized.calibration_method
    return "" if method == HALF else f" (best calibration: {method})"
