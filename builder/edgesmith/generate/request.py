"""What a CMake project is generated from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgesmith.compile.compilers import Compiler
from edgesmith.compile.downloads import Downloads
from edgesmith.platforms import Platform
from edgesmith.providers import Provider
from edgesmith.values import Variant


@dataclass(frozen=True, kw_only=True)
class VariantFile:
    """A variant, and the folder in which its model lies now."""

    variant: Variant
    folder: Path


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """All inputs of a generated project.

    `golden` and `evaluation` are sample files. `tools` gives the versions of the Python packages
    that build the project, by name; `ziglang` among them.
    """

    model_name: str
    model_version: str
    target: str
    platform: Platform
    compiler: Compiler
    variants: tuple[VariantFile, ...]
    default_variant: str
    golden: Path
    evaluation: Path
    downloads: Downloads
    tools: Mapping[str, str]
    edgesmith_version: str
    providers: Mapping[str, Provider] = field(default_factory=dict)
