"""What a manifest must say, field by field; fields it does not know are ignored."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgesmith.project.fields import Name, Version

MANIFEST = "manifest.json"
SIGNATURES = "signatures"
Role = Literal["app", "runtime", "model", "golden", "bench", "licence"]
ROLES: tuple[str, ...] = get_args(Role)
RELEASE_ROLES = tuple(role for role in ROLES if role != "bench")

_MAX_PATH_BYTES = 255
# MAJOR.MINOR.PATCH has at most five digits each, so that the number stays below 2^53.
_SEQUENCE_STEP = 100_000


def is_safe_path(path: object) -> bool:
    """Whether a manifest may name this path: relative, plain, below the bundle's folder."""
    if not isinstance(path, str) or not path or "\\" in path or not path.isprintable():
        return False
    pure = PurePosixPath(path)
    plain = not pure.is_absolute() and pure.as_posix() == path and ".." not in pure.parts
    reserved = path == MANIFEST or pure.parts[:1] == (SIGNATURES,)
    return plain and path != "." and not reserved and len(path.encode()) <= _MAX_PATH_BYTES


def sequence_of(version: str) -> int:
    """The number that must not fall from release to release, from MAJOR.MINOR.PATCH."""
    major, minor, patch = map(int, re.split(r"[-+]", version)[0].split("."))
    return (major * _SEQUENCE_STEP + minor) * _SEQUENCE_STEP + patch


def _safe(path: str) -> str:
    if not is_safe_path(path):
        raise ValueError("a relative path below the bundle's folder")
    return path


Text = Annotated[str, Field(min_length=1)]
SafePath = Annotated[str, AfterValidator(_safe)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
OptimizationLevel = Literal["all", "extended", "basic", "disable"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class ProviderPart(_Part):
    """An entry of `providers`: `library` is that of a plugin, `graph_optimization_level` the one
    with which ONNX Runtime hands it a variant that is another provider's."""

    options: dict[str, str] = Field(default_factory=dict)
    library: SafePath | None = None
    device: dict[str, str] = Field(default_factory=dict)
    graph_optimization_level: OptimizationLevel | None = None


class NeedsPart(_Part):
    """An entry of `requires.providers`: what a provider needs of the device to be used."""

    libraries: list[Text] = Field(default_factory=list)
    products: dict[str, str] = Field(default_factory=dict)


class ModelPart(_Part):
    """`model`."""

    name: Name
    version: Version


class FilePart(_Part):
    """An entry of `files`."""

    path: SafePath
    bytes: Count
    sha256: Sha256
    mode: Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")]
    role: Role


class OptionsPart(_Part):
    """`session_options` of a variant."""

    graph_optimization_level: OptimizationLevel
    config: dict[str, str] = Field(default_factory=dict)


class OperationsPart(_Part):
    """`operations` of a variant: what the device has at least to compute."""

    multiply_adds_per_sample: Count | None = None


class VariantPart(_Part):
    """An entry of `variants`."""

    name: Name
    path: SafePath
    data: list[SafePath] = Field(default_factory=list)
    precision: Text
    encoding: Text
    provider: Text
    threads: Annotated[int, Field(ge=1)]
    session_options: OptionsPart
    self_test_min_sqnr_db: float | None = None
    operations: OperationsPart | None = None


class ElfPart(_Part):
    """`requires.elf`."""

    machine: Text
    bits: Literal[32, 64]


class CxxPart(_Part):
    """`requires.libstdc++`."""

    glibcxx: str | None = None
    cxxabi: str | None = None


class RequiresPart(_Part):
    """What the device must have."""

    elf: ElfPart
    interpreter: str | None = None
    glibc: str | None = None
    libgcc: str | None = None
    libstdcxx: CxxPart = Field(default_factory=CxxPart, alias="libstdc++")
    libraries: list[Text] = Field(default_factory=list)
    cpu_features: list[Text] = Field(default_factory=list)
    driver_libraries: list[Text] = Field(default_factory=list)
    providers: dict[str, NeedsPart] = Field(default_factory=dict)
    bytes: Count


class RuntimePart(_Part):
    """The inference runtime in the bundle."""

    name: Text
    version: Text
    wheel_sha256: Sha256 | None = None
    verified: bool = True


class ProvenancePart(_Part):
    """What the bundle was made from and with."""

    edgesmith: Text
    source_sha256: Sha256
    onnx_sha256: dict[str, Sha256]
    toolchain: Text
    recipes: list[Text]


class ManifestContent(_Part):
    """A whole manifest."""

    model: ModelPart
    sequence: Count
    target: Name
    platform: Text
    variants: Annotated[list[VariantPart], Field(min_length=1)]
    default_variant: Name
    metrics: list[Text]
    files: Annotated[list[FilePart], Field(min_length=1)]
    requires: RequiresPart
    runtime: RuntimePart
    providers: dict[str, ProviderPart] = Field(default_factory=dict)
    provenance: ProvenancePart
    quantization: dict[str, Any]


def contradictions(content: ManifestContent) -> list[str]:
    """Fields that are right by themselves and not together."""
    roles = {file.path: file.role for file in content.files}
    variants = {variant.name: variant for variant in content.variants}
    found = []
    if len(roles) != len(content.files):
        found.append("files: the same path twice")
    if len(variants) != len(content.variants):
        found.append("variants: the same name twice")
    for one in content.variants:
        missing = [path for path in (one.path, *one.data) if path not in roles]
        found += [f"variants: {path} of {one.name} is not among the files" for path in missing]
    for name, provider in content.providers.items():
        if provider.library is not None and roles.get(provider.library) != "runtime":
            found.append(f"providers: {provider.library} of {name} is not among the libraries")
    default = variants.get(content.default_variant)
    if default is None:
        found.append("default_variant: names no variant")
    elif any(roles.get(path, "model") != "model" for path in (default.path, *default.data)):
        found.append("default_variant: its file has not the role model")
    if content.sequence != sequence_of(content.model.version):
        found.append("sequence: is not that of the version")
    if content.requires.bytes != sum(f.bytes for f in content.files if f.role in RELEASE_ROLES):
        found.append("requires.bytes: is not the sum of the release's files")
    return found
