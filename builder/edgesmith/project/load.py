"""From `edgesmith.toml` to a frozen Project; all mistakes are told at once, with their source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from edgesmith.errors import UsageError
from edgesmith.project.layers import PROJECT_FILE, Layer, merged, read_layers, source_of
from edgesmith.project.mistakes import Mistake, reference_mistakes, validation_mistakes
from edgesmith.project.project import Project
from edgesmith.project.settings import ProjectSettings


def find_project_file(given: str | None, *, start: Path) -> Path:
    """The project file: the one given (file or folder), else the nearest from `start` up."""
    if given is not None:
        path = Path(given).expanduser()
        path = path / PROJECT_FILE if path.is_dir() else path
        if path.is_file():
            return path.absolute()
        raise UsageError(
            "there is a folder where the project file should be"
            if path.is_dir()
            else "there is no project file here",
            where=str(path),
            hint="name an edgesmith.toml or its folder with -p, or make one: edgesmith init DIR",
        )
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    raise UsageError(
        "there is no edgesmith.toml in this folder or above it",
        where=str(start),
        hint="go to your project, name it with -p PATH, or make one: edgesmith init DIR",
    )


def load_project(path: Path, environment: Mapping[str, str] = os.environ) -> Project:
    """Reads and checks the project file with all its layers; raises UsageError."""
    layers = read_layers(path, environment)
    values = merged(layers)
    mistakes: list[Mistake] = []
    settings = None
    try:
        settings = ProjectSettings.model_validate(values)
    except ValidationError as error:
        mistakes.extend(validation_mistakes(error))
    mistakes.extend(reference_mistakes(values))
    if mistakes or settings is None:
        raise _usage_error(mistakes, layers)
    return Project(file=path, settings=settings, layers=tuple(layer.name for layer in layers))


def _usage_error(mistakes: list[Mistake], layers: Sequence[Layer]) -> UsageError:
    unique = list(dict.fromkeys(mistakes))
    sources = [source_of(mistake.location, layers) for mistake in unique]
    places = list(dict.fromkeys(source.where for source in sources))
    count = "1 mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
    in_file = all(source.name == PROJECT_FILE for source in sources)
    lines = [f"{count} in the {'project file' if in_file else 'settings'}"]
    for mistake, source in zip(unique, sources, strict=True):
        place = f" (in {source.where})" if len(places) > 1 else ""
        lines.append(f"  {mistake.render()}{place}")
    return UsageError(
        "\n".join(lines),
        where=", ".join(places),
        hint="correct the keys above; docs/project-file.md describes every key",
    )
