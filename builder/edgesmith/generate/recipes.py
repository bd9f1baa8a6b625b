"""The Conan recipes of a project, as a local recipes index.

The version of each package ends in a digest of all that it is made of: two projects with
different contents can share one Conan home, and none gets what was built for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesmith.compile.archives import archives_for
from edgesmith.compile.vendored import Files, vendored_files, write_files
from edgesmith.generate.render import json_string
from edgesmith.generate.request import GenerateRequest
from edgesmith.hashing import sha256_bytes, sha256_json
from edgesmith.resources import resource_folder

_DIGEST_CHARACTERS = 12
_RUNTIME_PARTS = ("CMakeLists.txt", "cmake", "include", "installer", "src")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A package: its reference, and the contents of its recipe folder.

    `data` is the recipe's conandata, each entry for this version.
    """

    name: str
    version: str
    files: Files
    data: Mapping[str, object]

    @property
    def reference(self) -> str:
        return f"{self.name}/{self.version}"


def recipes_for(request: GenerateRequest) -> tuple[Recipe, ...]:
    """All recipes of the project, those that the project itself requires last."""
    vendored = vendored_files(request.platform, request.downloads)
    archives = archives_for(request.platform)
    settings = {"os": request.platform.conan.os, "arch": request.platform.conan.arch}
    onnxruntime = _recipe(
        "edgesmith-onnxruntime",
        request.platform.runtime.library_version,
        vendored=vendored.onnxruntime,
        data={"platform": settings, "flavor": request.platform.runtime.flavor},
    )
    json = _recipe("edgesmith-nlohmann-json", archives.json.version, vendored=vendored.json)
    sodium = _recipe("edgesmith-sodium", archives.sodium.content_version, vendored=vendored.sodium)
    wuffs = _recipe("edgesmith-wuffs", archives.wuffs.content_version, vendored=vendored.wuffs)
    sources = _runtime_sources()
    of_installer = [json.reference, sodium.reference]
    runtime = _recipe(
        "edgesmith-runtime",
        request.edgesmith_version,
        sources=sources,
        data={"requirements": [onnxruntime.reference, *of_installer, wuffs.reference]},
    )
    installer = _recipe(
        "edgesmith-installer",
        request.edgesmith_version,
        data={"requirements": of_installer},
        also={"source": sha256_json(_digests(sources))},
    )
    return (onnxruntime, json, sodium, wuffs, runtime, installer)


def write_index(folder: Path, recipes: Iterable[Recipe]) -> None:
    """Writes the index that `conan remote add --type=local-recipes-index` takes."""
    for recipe in recipes:
        root = folder / "recipes" / recipe.name
        write_files(root / "all", recipe.files)
        config = {"versions": {recipe.version: {"folder": "all"}}}
        data = {key: {recipe.version: value} for key, value in recipe.data.items()}
        # JSON is YAML, and needs no second way of quoting.
        (root / "config.yml").write_text(json_string(config) + "\n")
        (root / "all" / "conandata.yml").write_text(json_string(data) + "\n")


def _recipe(
    name: str,
    version: str,
    *,
    vendored: Files | None = None,
    sources: Files | None = None,
    data: Mapping[str, object] | None = None,
    also: Mapping[str, object] | None = None,
) -> Recipe:
    files = _tree(resource_folder("templates") / "recipes" / name)
    facts: dict[str, object] = dict(data or {})
    if vendored is not None:
        facts["files"] = _digests(vendored)
        files |= {f"files/{path}": content for path, content in vendored.items()}
    files |= {f"source/{path}": content for path, content in (sources or {}).items()}
    digest = sha256_json([_digests(files), facts, dict(also or {})])[:_DIGEST_CHARACTERS]
    return Recipe(name=name, version=f"{version}+{digest}", files=files, data=facts)


def _digests(files: Files) -> dict[str, str]:
    return {path: sha256_bytes(content) for path, content in sorted(files.items())}


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def _runtime_sources() -> dict[str, bytes]:
    """The C++ sources without their tests, with our licence."""
    root = resource_folder("runtime_cpp")
    parts = tuple(f"{part}/" for part in _RUNTIME_PARTS)
    return {
        path: content
        for path, content in _tree(root).items()
        if path in _RUNTIME_PARTS or path.startswith(parts)
    }
