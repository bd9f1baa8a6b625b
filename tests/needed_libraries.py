"""What the programs and libraries of a bundle ask the loader for, and who has it."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path

from elftools.elf.elffile import ELFFile

MAGIC = b"\x7fELF"


def elf_paths(bundle: Path) -> list[Path]:
    """All programs and libraries, whatever they are called."""
    found = []
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                found.append(path)
    return found


def needed_by(path: Path) -> tuple[list[str], list[str]]:
    """DT_NEEDED, and the entries of RUNPATH or else RPATH."""
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".dynamic")
        tags = list(section.iter_tags()) if section else []
        needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
        runpath = [tag.runpath for tag in tags if tag.entry.d_tag == "DT_RUNPATH"]
        rpath = [tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"]
    return needed, ":".join(runpath or rpath).split(":")


def unmet(bundle: Path) -> list[str]:
    """What nobody promises: libraries that are neither found in the bundle nor in `requires`.

    Only the libraries of providers may need what `driver_libraries` lists.
    """
    requires = json.loads((bundle / "manifest.json").read_text())["requires"]
    system, drivers = set(requires["libraries"]), set(requires["driver_libraries"])
    missing = []
    for path in elf_paths(bundle):
        name = path.relative_to(bundle).as_posix()
        needed, searched = needed_by(path)
        folders = [
            posixpath.normpath(entry.replace("$ORIGIN", posixpath.dirname(name)))
            for entry in searched
        ]
        promised = system | drivers if "_providers_" in path.name else system
        for library in needed:
            beside = any((bundle / folder / library).is_file() for folder in folders)
            if not beside and library not in promised:
                missing.append(f"{name} needs {library}")
    return missing
