"""The generate stage: a CMake project that a user can take away."""

from __future__ import annotations

from pathlib import Path

from edgesmith.compile.vendored import write_files
from edgesmith.files import copy_file, host_file_errors
from edgesmith.generate.context import ProjectContext, context, variant_path
from edgesmith.generate.plugins import copy_plugins
from edgesmith.generate.recipes import recipes_for, write_index
from edgesmith.generate.render import Renderer
from edgesmith.generate.request import GenerateRequest
from edgesmith.generate.toolchain_licenses import toolchain_licenses
from edgesmith.model.weight_files import copy_model
from edgesmith.resources import resource_folder
from edgesmith.values import GeneratedProject

INDEX = "conan/index"
_ROOT_PACKAGES = ("edgesmith-runtime", "edgesmith-installer")
_WRAPPERS = "conan/toolchain/"
_ZIG_ONLY = ("conan/toolchain/cc", "conan/toolchain/c++")


def write_project(folder: Path, request: GenerateRequest) -> GeneratedProject:
    """Writes the whole project into the empty `folder`.

    The same request gives the same bytes wherever the folder lies. Raises ModelError for a model
    that C++ code can't be generated for, ToolchainError for a damaged download, HostFileError.
    """
    recipes = recipes_for(request)
    roots = [recipe.reference for recipe in recipes if recipe.name in _ROOT_PACKAGES]
    values = context(request, requirements=roots)
    with host_file_errors(folder):
        write_index(folder / INDEX, recipes)
        _render_all(folder, values)
        _copy_models(folder, request)
        copy_plugins(folder, request.providers)
        write_files(folder / "licenses", toolchain_licenses(request.compiler.toolchain.kind))
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return GeneratedProject(target=request.target, identifier=values.namespace, files=tuple(files))


def _render_all(folder: Path, values: ProjectContext) -> None:
    source = resource_folder("templates") / "cmake_project"
    renderer = Renderer(source)
    for template in sorted(source.rglob("*.j2")):
        name = template.relative_to(source).as_posix()
        path = _output_path(name.removesuffix(".j2"), values)
        if path is None:
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(renderer.render(name, values), encoding="utf-8")
        target.chmod(0o755 if path.startswith(_WRAPPERS) else 0o644)


def _output_path(name: str, values: ProjectContext) -> str | None:
    """Where a template's output goes; None when this toolchain has no use for it."""
    if name.startswith("conan/profiles/host_"):
        chosen = name == f"conan/profiles/host_{'zig' if values.compiler.is_zig else 'system'}"
        return "conan/profiles/host" if chosen else None
    if name in _ZIG_ONLY and not values.compiler.is_zig:
        return None
    if name == "src/model.hpp":
        return f"include/{values.package}/model.hpp"
    return name


def _copy_models(folder: Path, request: GenerateRequest) -> None:
    for one in request.variants:
        path = variant_path(one.variant.name, request.default_variant)
        copy_model(one.folder, one.variant.onnx, folder / path)
    copy_file(request.golden, folder / "golden" / "samples.safetensors", mode=0o644)
    copy_file(request.evaluation, folder / "bench" / "samples.safetensors", mode=0o644)
