"""Makes a bundle from an installed tree; one that fails its own checks never appears."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgesmith.bundle.archive import write_archive
from edgesmith.bundle.content import MANIFEST, RELEASE_ROLES, Role, sequence_of
from edgesmith.bundle.drivers import driver_needs, from_devices
from edgesmith.bundle.elf import Requirements, read_elf, requirements
from edgesmith.bundle.manifest import SCHEMA_VERSION, Manifest, ManifestFile, archive_name
from edgesmith.bundle.preflight import above_floors, listed, require_fit
from edgesmith.bundle.size import bundle_size
from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.stage import StagedTree
from edgesmith.errors import HarnessError, ToolchainError
from edgesmith.events import EventStream
from edgesmith.files import copy_file, host_file_errors
from edgesmith.generate.context import data_paths, variant_path
from edgesmith.hashing import sha256_file
from edgesmith.platforms import Platform, runs_here
from edgesmith.process import Command, run
from edgesmith.providers import Provider
from edgesmith.toolchains import ToolchainKind
from edgesmith.values import Bundle, Variant

_ROLE_OF_FOLDER: dict[str, Role] = {
    "bin": "app",
    "lib": "runtime",
    "model": "model",
    "golden": "golden",
    "bench": "bench",
    "licenses": "licence",
}
# Reading and hashing a large model from a slow disk comes on top.
_SELF_TEST_TIMEOUT_S = 600.0
_SLOWEST_BYTES_PER_S = 10_000_000


@dataclass(frozen=True, kw_only=True)
class BundleRequest:
    """What a manifest says besides the files.

    `onnx_sha256` holds the model's hash after each step (such as exported, simplified) and of
    each variant; `quantization` is a summary in JSON types. `kernels_fit_here`: this machine's CPU
    gives the target's INT8 outputs.
    """

    model_name: str
    model_version: str
    target: str
    platform: Platform
    toolchain: ToolchainKind
    variants: tuple[Variant, ...]
    default_variant: str
    metrics: tuple[str, ...]
    edgesmith_version: str
    source_sha256: str
    onnx_sha256: Mapping[str, str]
    providers: Mapping[str, Provider] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)
    kernels_fit_here: bool = True


def assemble_bundle(
    folder: Path, staged: StagedTree, request: BundleRequest, *, events: EventStream
) -> Bundle:
    """Fills the empty `folder` with the bundle and its archive, after checking both ways.

    On a host of the bundle's own architecture the harness verifies the golden samples. Raises
    ToolchainError (programs that would not run there), IntegrityError, HarnessError
    (self-test), HostFileError.
    """
    with host_file_errors(folder):
        files = _copy_files(staged.root, folder)
        needs = _requirements(folder, files, request, events)
        content = _content(files, needs, staged, request)
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n")
        (folder / MANIFEST).chmod(0o644)
    manifest = verify_bundle(folder)
    _self_test(folder, request, content["requires"]["bytes"], events)
    return _bundle(folder, manifest, request)


def _copy_files(root: Path, folder: Path) -> tuple[ManifestFile, ...]:
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() or p.is_symlink()):
        relative = path.relative_to(root).as_posix()
        role = _ROLE_OF_FOLDER.get(relative.split("/")[0])
        if role is None or path.is_symlink():
            raise ToolchainError(
                f"the installation left something that no bundle holds: {relative}",
                where=str(root),
                hint="install only into bin, lib, model, golden, bench and licenses, no links",
            )
        mode = 0o755 if role == "app" else 0o644
        copy_file(path, folder / relative, mode=mode)
        found.append(
            ManifestFile(
                path=relative,
                bytes=path.stat().st_size,
                sha256=sha256_file(folder / relative),
                mode=f"{mode:04o}",
                role=role,
            )
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Needs:
    """What the programs need, and what providers need to be used at all."""

    system: Requirements
    providers: Mapping[str, Mapping[str, Any]]


def _requirements(
    folder: Path, files: tuple[ManifestFile, ...], request: BundleRequest, events: EventStream
) -> _Needs:
    """What the programs need; those of a compiler other than Zig may need more than the floors."""
    elves = [read_elf(folder, file.path) for file in files if file.role in ("app", "runtime")]
    pinned = request.toolchain == "zig"
    platform, providers = request.platform, request.providers
    free = from_devices(elves, platform, providers)
    require_fit(elves, platform, floors=pinned, free=free)
    above = () if pinned else above_floors(elves, request.platform)
    if above:
        events.warning(
            f"devices of {request.platform.name} that have less than these are refused at flash\n"
            + listed(above)
        )
    system = requirements(elves, free=free)
    return _Needs(system=system, providers=driver_needs(elves, platform, providers))


def _content(
    files: tuple[ManifestFile, ...],
    needs: _Needs,
    staged: StagedTree,
    request: BundleRequest,
) -> dict[str, Any]:
    runtime = request.platform.runtime
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {"name": request.model_name, "version": request.model_version},
        "sequence": sequence_of(request.model_version),
        "target": request.target,
        "platform": request.platform.name,
        "variants": [_variant(one, request.default_variant) for one in request.variants],
        "default_variant": request.default_variant,
        "metrics": list(request.metrics),
        "files": [asdict(file) for file in files],
        "requires": _requires(needs, files, request.platform),
        "runtime": {
            "name": runtime.package,
            "version": runtime.library_version,
            "wheel_sha256": runtime.wheel_sha256 or None,
            "verified": runtime.folder is None,
        },
        "providers": {name: one.record() for name, one in request.providers.items()},
        "provenance": {
            "edgesmith": request.edgesmith_version,
            "source_sha256": request.source_sha256,
            "onnx_sha256": dict(request.onnx_sha256),
            "toolchain": staged.toolchain,
            "recipes": list(staged.recipes),
        },
        "quantization": dict(request.quantization),
    }


def _variant(variant: Variant, default_variant: str) -> dict[str, Any]:
    return {
        "name": variant.name,
        "path": variant_path(variant.name, default_variant),
        "data": list(data_paths(variant, default_variant)),
        "precision": variant.precision,
        "encoding": variant.encoding,
        "provider": variant.provider,
        "session_options": {
            "graph_optimization_level": variant.session_options.graph_optimization_level,
            "config": dict(variant.session_options.config),
        },
        "threads": variant.threads,
        "self_test_min_sqnr_db": variant.self_test_min_sqnr_db,
        "operations": {"multiply_adds_per_sample": variant.multiply_adds_per_sample},
    }


def _requires(needs: _Needs, files: tuple[ManifestFile, ...], platform: Platform) -> dict[str, Any]:
    system = needs.system
    drivers = {one for provider in needs.providers.values() for one in provider["libraries"]}
    return {
        "elf": {"machine": platform.elf.machine, "bits": platform.elf.bits},
        "interpreter": system.interpreter,
        "glibc": system.version("GLIBC"),
        "libstdc++": {"glibcxx": system.version("GLIBCXX"), "cxxabi": system.version("CXXABI")},
        "libgcc": system.version("GCC"),
        "libraries": list(system.libraries),
        "cpu_features": list(platform.cpu_features),
        "driver_libraries": sorted(drivers),
        "providers": {name: dict(one) for name, one in needs.providers.items()},
        "bytes": sum(file.bytes for file in files if file.role in RELEASE_ROLES),
    }


def _self_test(
    folder: Path, request: BundleRequest, release_bytes: int, events: EventStream
) -> None:
    if not runs_here(request.platform.elf):
        platform = request.platform.name
        events.info(f"the self-test of a {platform} bundle needs a device: skipped here")
        return
    if not request.kernels_fit_here:
        events.info(
            f"the self-test of target '{request.target}' needs a CPU with VNNI: skipped here"
        )
        return
    command = Command(
        argv=[folder / "bin" / "harness", "verify"],
        purpose="the bundle's self-test on this machine",
        hint="mend what it says: outputs that are not the references', or what a provider is given",
        timeout_s=_SELF_TEST_TIMEOUT_S + release_bytes / _SLOWEST_BYTES_PER_S,
        error=HarnessError,
        env={},
    )
    for line in run(command, events=events).output.splitlines():
        # Such as a GPU that only devices have, or an engine that this runtime was built without.
        if line.startswith("harness: provider "):
            events.info(f"self-test on this machine: {line.removeprefix('harness: ')}")


def _bundle(folder: Path, manifest: Manifest, request: BundleRequest) -> Bundle:
    name = archive_name(request.model_name, request.model_version, request.target)
    with host_file_errors(folder):
        archive_bytes = write_archive(folder, manifest, folder / name)
        manifest_bytes = (folder / MANIFEST).stat().st_size
    default = request.default_variant
    size = bundle_size(
        manifest.files,
        variants={
            one.name: (variant_path(one.name, default), *data_paths(one, default))
            for one in request.variants
        },
        manifest_bytes=manifest_bytes,
        archive_bytes=archive_bytes,
    )
    return Bundle(
        id=manifest.id,
        target=manifest.target,
        platform=manifest.platform,
        archive=name,
        size=size,
        variants=tuple(variant.name for variant in request.variants),
        default_variant=request.default_variant,
    )
