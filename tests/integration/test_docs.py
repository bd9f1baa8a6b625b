"""Every command in the docs works as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Edgesmith

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Short measurements: the commands are what is tested.
QUICK = {"EDGESMITH_BENCH__MIN_SECONDS": "0.1", "EDGESMITH_BENCH__MIN_ITERATIONS": "50"}


def commands(page: Path) -> list[list[str]]:
    """The words of each line of the page's shell blocks, comments removed."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def test_make_targets_and_cmake_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for words in commands(page):
            if words[0] == "make":
                assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words
            if words[0] in ("cmake", "ctest"):
                assert words[0] in makefile


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page(digits: Edgesmith, page: Path) -> None:
    folder = digits.folder
    for words in commands(page):
        here = Edgesmith(folder=folder, cache=digits.cache, environment=QUICK)
        match words[0]:
            case "edgesmith":
                here.ok(*words[1:])
            case "cd":
                folder = folder / words[1]
            case "make" | "cmake" | "ctest":
                continue
            case program if program.startswith("build/"):
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            case _:
                pytest.fail(f"{page.name}: no test knows how to run {shlex.join(words)}")
