"""The generate and bundle stages: what they depend on, and where their results lie."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from edgesmith import __version__
from edgesmith.bundle.assemble import BundleRequest, assemble_bundle
from edgesmith.compile.compilers import Compiler, system_compiler, zig_compiler
from edgesmith.compile.downloads import Downloads, fetch
from edgesmith.compile.own_runtime import resolved
from edgesmith.compile.stage import CompileSettings, compile_project
from edgesmith.generate.plugins import plugin_digests
from edgesmith.generate.request import GenerateRequest, VariantFile
from edgesmith.generate.stage import write_project
from edgesmith.hashing import sha256_tree
from edgesmith.project.project import Project, Target
from edgesmith.quantize.encoding import kernels_fit_here
from edgesmith.resources import Resource, resource_folder
from edgesmith.stages import Context, Made, Stage, StageResult
from edgesmith.values import (
    Bundle,
    ExportedModel,
    GeneratedProject,
    QuantizedModel,
    to_record,
)

# The packages a generated project is built with; their versions go into its README and keys.
BUILD_TOOLS = ("conan", "cmake", "ninja", "ziglang")


def tool_versions() -> dict[str, str]:
    """Versions of the installed build tools, by package name."""
    return {name: metadata.version(name) for name in BUILD_TOOLS}


def resolved_target(target: Target, context: Context) -> Target:
    """The target with what is found in its runtime's own folder; raises as `resolved` does."""
    platform = resolved(target.platform)
    if platform.runtime.folder is not None:
        context.events.warning(
            f"{platform.runtime.title} of {platform.name} is unverified:"
            f" it comes from {platform.runtime.folder}"
        )
    return replace(target, platform=platform)


def compiler_of(target: Target, context: Context) -> Compiler:
    """The target's compiler, looked for now; raises ToolchainError and UsageError."""
    if target.toolchain.kind == "zig":
        return zig_compiler(target.platform, metadata.version("ziglang"))
    return system_compiler(
        target.toolchain, target.platform, cache=context.cache.root, events=context.events
    )


def _tree_digest(name: Resource) -> str:
    root = resource_folder(name)
    return sha256_tree(root, [p for p in root.rglob("*") if p.is_file()])


def generate_stage(
    project: Project,
    target: Target,
    quantized: StageResult[QuantizedModel],
    compiler: Compiler,
    context: Context,
) -> Stage[GeneratedProject]:
    """The stage that makes `build/<model>/<target>/project`."""
    model, tools = project.settings.model, tool_versions()
    value = quantized.value

    def make(folder: Path) -> Made[GeneratedProject]:
        downloads = fetch(
            target.platform,
            cache=context.cache.root,
            offline=context.offline,
            events=context.events,
        )
        request = _generate_request(project, target, quantized, compiler, downloads)
        return Made(value=write_project(folder, request))

    return Stage(
        name="generate",
        target=target.name,
        folder=project.stage_folder("project", target.name),
        base=project.folder,
        key_parts={
            "model": [model.name, model.version],
            "variants": [[v.name, v.onnx.sha256] for v in value.variants],
            "default_variant": value.default_variant,
            "samples": [value.golden.sha256, value.evaluation.sha256],
            "target": [target.name, target.platform.record()],
            "session": [to_record(v.session_options) for v in value.variants],
            "providers": {
                name: [one.record(), plugin_digests(one)] for name, one in target.providers.items()
            },
            "compiler": [str(target.toolchain.file or ""), compiler.abi],
            "templates": _tree_digest("templates"),
            "runtime": _tree_digest("runtime_cpp"),
            "tools": tools,
        },
        value_type=GeneratedProject,
        make=make,
        state=project.state_folder,
    )


def _generate_request(
    project: Project,
    target: Target,
    quantized: StageResult[QuantizedModel],
    compiler: Compiler,
    downloads: Downloads,
) -> GenerateRequest:
    model, value = project.settings.model, quantized.value
    return GenerateRequest(
        model_name=model.name,
        model_version=model.version,
        target=target.name,
        platform=target.platform,
        compiler=compiler,
        variants=tuple(VariantFile(variant=one, folder=quantized.folder) for one in value.variants),
        default_variant=value.default_variant,
        golden=quantized.folder / value.golden.path,
        evaluation=quantized.folder / value.evaluation.path,
        downloads=downloads,
        tools=tool_versions(),
        edgesmith_version=__version__,
        providers=target.providers,
    )


def bundle_stage(
    project: Project,
    target: Target,
    exported: StageResult[ExportedModel],
    quantized: StageResult[QuantizedModel],
    generated: StageResult[GeneratedProject],
    compiler: Compiler,
    context: Context,
) -> Stage[Bundle]:
    """The stage that makes `build/<model>/<target>/bundle`."""
    request = _bundle_request(project, target, exported.value, quantized.value)

    def make(folder: Path) -> Made[Bundle]:
        staged = compile_project(
            generated.folder,
            project.state_folder / "compile" / target.name,
            CompileSettings(cache=context.cache.root, environment=compiler.environment),
            events=context.events,
        )
        return Made(value=assemble_bundle(folder, staged, request, events=context.events))

    return Stage(
        name="compile",
        target=target.name,
        folder=project.stage_folder("bundle", target.name),
        base=project.folder,
        key_parts={
            "project": generated.key,
            "variants": [to_record(variant) for variant in request.variants],
            "metrics": list(request.metrics),
            "onnx": dict(request.onnx_sha256),
            "quantization": dict(request.quantization),
            "providers": {
                name: [one.record(), list(one.plugin.needs) if one.plugin else []]
                for name, one in request.providers.items()
            },
        },
        value_type=Bundle,
        make=make,
        state=project.state_folder,
    )


def _bundle_request(
    project: Project, target: Target, exported: ExportedModel, quantized: QuantizedModel
) -> BundleRequest:
    model = project.settings.model
    onnx = {"exported": exported.onnx.sha256}
    onnx |= {variant.name: variant.onnx.sha256 for variant in quantized.variants}
    summary: dict[str, Any] = {
        "calibration": quantized.calibration_method,
        "accuracy_metric": quantized.accuracy_metric,
        "accuracy_loss": quantized.accuracy_loss,
        "accuracy_budget": quantized.accuracy_budget,
    }
    return BundleRequest(
        model_name=model.name,
        model_version=model.version,
        target=target.name,
        platform=target.platform,
        toolchain=target.toolchain.kind,
        variants=quantized.variants,
        default_variant=quantized.default_variant,
        metrics=tuple(project.settings.data.metrics),
        edgesmith_version=__version__,
        source_sha256=exported.onnx.sha256,
        onnx_sha256=onnx,
        providers=target.providers,
        quantization=summary,
        kernels_fit_here=kernels_fit_here(target),
    )
