"""What the templates see: a pure function from the request to a frozen value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesmith.compile.compilers import Compiler, clang_version
from edgesmith.errors import ModelError
from edgesmith.generate.identifiers import Identifiers
from edgesmith.generate.request import GenerateRequest, VariantFile
from edgesmith.platforms import ConanFacts, RuntimeFacts, ZigFacts
from edgesmith.providers import Provider, with_helpers
from edgesmith.values import TensorInfo, Variant

# C++ element types; half precision has none in C++17 and is passed as bit patterns.
_ELEMENTS = {
    "float32": ("float", "kFloat32"),
    "float64": ("double", "kFloat64"),
    "float16": ("std::uint16_t", "kFloat16"),
    "bfloat16": ("std::uint16_t", "kBFloat16"),
    "int8": ("std::int8_t", "kInt8"),
    "int16": ("std::int16_t", "kInt16"),
    "int32": ("std::int32_t", "kInt32"),
    "int64": ("std::int64_t", "kInt64"),
    "uint8": ("std::uint8_t", "kUInt8"),
    "uint16": ("std::uint16_t", "kUInt16"),
    "uint32": ("std::uint32_t", "kUInt32"),
    "uint64": ("std::uint64_t", "kUInt64"),
    "bool": ("bool", "kBool"),
}
_LEVELS = {"disable": "kDisable", "basic": "kBasic", "extended": "kExtended", "all": "kAll"}
_CLASS_MEMBERS = ("Model", "Tensor", "Sizes", "Span", "open", "run", "bind", "allocate", "session",
                  "session_", "default_settings", "inputs", "outputs")  # fmt: skip
# Zig compiles the static installer, whatever compiles the rest.
_TOOLS = ("cmake", "conan", "ninja", "ziglang")
_VARIANT_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Dim:
    """A size, or -1 and the member of `Sizes` that holds it (empty when known after a run)."""

    size: int
    identifier: str


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output. `is_bound`: its size is known before a run."""

    name: str
    identifier: str
    member: str
    element: str
    element_name: str
    data_type: str
    dims: tuple[Dim, ...]
    is_bound: bool


@dataclass(frozen=True, kw_only=True)
class Size:
    """A dynamic dimension, and the input axis that shows its size."""

    identifier: str
    input_index: int
    axis: int


@dataclass(frozen=True, kw_only=True)
class ProviderContext:
    """An execution provider that a program sets up; `library` is a plugin's in the bundle."""

    name: str
    options: tuple[tuple[str, str], ...]
    library: str
    device: tuple[tuple[str, str], ...]
    optimization_level: str


@dataclass(frozen=True, kw_only=True)
class VariantContext:
    """A model file of the project; `path` is relative to it."""

    name: str
    path: str
    data: tuple[str, ...]
    precision: str
    provider: str
    threads: int
    optimization_level: str
    config: tuple[tuple[str, str], ...]
    providers: tuple[ProviderContext, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectContext:
    """Every value that a template may name."""

    model_name: str
    model_version: str
    numeric_version: str
    package: str
    namespace: str
    cmake_project: str
    library_name: str
    app_name: str
    edgesmith_version: str
    target: str
    platform: str
    runtime: RuntimeFacts
    compiler: Compiler
    tools: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sizes: tuple[Size, ...]
    variants: tuple[VariantContext, ...]
    default_variant: VariantContext
    zig: ZigFacts
    zig_version: str
    clang_version: str
    conan: ConanFacts
    requirements: tuple[str, ...]
    has_plugins: bool


def context(request: GenerateRequest, *, requirements: Sequence[str]) -> ProjectContext:
    """The templates' context; `requirements` are the Conan references of our packages.

    Raises ModelError for tensors that C++ code can't be generated for.
    """
    default = _default_variant(request)
    variants = tuple(
        _variant(v, request.default_variant, request.providers) for v in request.variants
    )
    sizes = _sizes(default.variant.onnx.inputs)
    names = Identifiers(_CLASS_MEMBERS)
    zig_version = request.tools["ziglang"]
    return ProjectContext(
        model_name=request.model_name,
        model_version=request.model_version,
        numeric_version=re.split(r"[-+]", request.model_version)[0],
        package=request.model_name,
        namespace=Identifiers(("model", "inputs", "outputs")).take(request.model_name),
        cmake_project=request.model_name,
        library_name=f"{request.model_name}-model",
        app_name=f"{request.model_name}-app",
        edgesmith_version=request.edgesmith_version,
        target=request.target,
        platform=request.platform.name,
        runtime=request.platform.runtime,
        compiler=request.compiler,
        tools=_tools(request),
        inputs=_tensors(default.variant.onnx.inputs, sizes, names, "input"),
        outputs=_tensors(default.variant.onnx.outputs, sizes, names, "output"),
        sizes=tuple(sizes.values()),
        variants=variants,
        default_variant=next(v for v in variants if v.name == request.default_variant),
        zig=request.platform.zig,
        zig_version=zig_version,
        clang_version=clang_version(zig_version),
        conan=request.platform.conan,
        requirements=tuple(requirements),
        has_plugins=any(one.plugin for one in request.providers.values()),
    )


def variant_path(name: str, default_variant: str) -> str:
    """Where a variant lies in project and bundle: only the default one stays on a device."""
    return f"{'model' if name == default_variant else 'bench'}/{name}.onnx"


def data_paths(variant: Variant, default_variant: str) -> tuple[str, ...]:
    """Where the weights that don't fit into a variant's file lie: beside it."""
    folder = variant_path(variant.name, default_variant).rpartition("/")[0]
    return tuple(f"{folder}/{one.path}" for one in variant.onnx.data_files)


def _default_variant(request: GenerateRequest) -> VariantFile:
    for one in request.variants:
        if one.variant.name == request.default_variant:
            return one
    raise ModelError(
        f"there is no variant '{request.default_variant}'",
        where=request.target,
        hint="quantize the model anew: edgesmith quantize",
    )


def _variant(
    one: VariantFile, default_variant: str, providers: Mapping[str, Provider]
) -> VariantContext:
    variant = one.variant
    if not _VARIANT_NAME.fullmatch(variant.name):
        raise ModelError(
            f"the variant's name {variant.name!r} can't be a file name",
            where=str(one.folder),
            hint="use lower-case letters, digits, '-' and '_'",
        )
    return VariantContext(
        name=variant.name,
        path=variant_path(variant.name, default_variant),
        data=data_paths(variant, default_variant),
        precision=variant.precision,
        provider=variant.provider,
        threads=variant.threads,
        optimization_level=_LEVELS[variant.session_options.graph_optimization_level],
        config=tuple(sorted(variant.session_options.config.items())),
        providers=tuple(
            _provider(providers[name])
            for name in with_helpers(variant.provider)
            if name in providers and name != "cpu"
        ),
    )


def _provider(one: Provider) -> ProviderContext:
    return ProviderContext(
        name=one.name,
        options=tuple(sorted(one.options.items())),
        library=one.library,
        device=tuple(sorted(one.device.items())),
        optimization_level=one.graph_optimization_level,
    )


def _tools(request: GenerateRequest) -> tuple[str, ...]:
    return tuple(f"{name}=={request.tools[name]}" for name in _TOOLS)


def _sizes(inputs: Sequence[TensorInfo]) -> dict[str, Size]:
    """Every dynamic dimension of an input, by its foreign name."""
    names = Identifiers()
    sizes: dict[str, Size] = {}
    for index, tensor in enumerate(inputs):
        for axis, dim in enumerate(tensor.dims):
            if isinstance(dim, str) and dim not in sizes:
                sizes[dim] = Size(identifier=names.take(dim), input_index=index, axis=axis)
    return sizes


def _tensors(
    infos: Sequence[TensorInfo], sizes: dict[str, Size], names: Identifiers, kind: str
) -> tuple[Tensor, ...]:
    return tuple(_tensor(info, sizes, names, f"{kind}{i}_") for i, info in enumerate(infos))


def _tensor(info: TensorInfo, sizes: dict[str, Size], names: Identifiers, member: str) -> Tensor:
    if info.dtype not in _ELEMENTS or "\0" in info.name:
        raise ModelError(
            f"{info.name!r} has element type {info.dtype}, which C++ code can't be generated for"
            if info.dtype not in _ELEMENTS
            else f"the name {info.name!r} holds a NUL character",
            where=info.name,
            hint=f"use one of: {', '.join(_ELEMENTS)}, and a name without control characters",
        )
    element, data_type = _ELEMENTS[info.dtype]
    dims = tuple(_dim(dim, sizes) for dim in info.dims)
    return Tensor(
        name=info.name,
        identifier=names.take(info.name, suffixes=("", "_dims")),
        member=member,
        element=element,
        element_name=info.dtype,
        data_type=data_type,
        dims=dims,
        is_bound=all(dim.size >= 0 or dim.identifier for dim in dims),
    )


def _dim(dim: int | str, sizes: dict[str, Size]) -> Dim:
    if isinstance(dim, int):
        return Dim(size=dim, identifier="")
    return Dim(size=-1, identifier=sizes[dim].identifier if dim in sizes else "")
