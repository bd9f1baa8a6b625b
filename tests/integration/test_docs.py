"""Every command in the docs works as it stands there, and every excerpt is its real output."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from excerpts import Excerpt, excerpts, masked
from workbench import QUICK, ROOT, Edgesmith

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    # docs/devices.md has a test with a device: tests/device/test_devices_page.py.
    *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name != "devices.md"),
]
GPU = ROOT / "docs" / "gpu.md"
# As many inferences as the 99th percentile needs.
ENOUGH = {**QUICK, "EDGESMITH_BENCH__MIN_ITERATIONS": "1000"}
EXCERPTS = [excerpt for page in PAGES for excerpt in excerpts(page)]


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
            case program if program == "python3" or program.startswith("build/"):
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            case _:
                pytest.fail(f"{page.name}: no test knows how to run {shlex.join(words)}")


def in_sentences(page: Path) -> set[str]:
    return set(re.findall(r"`(edgesmith [a-z][^`]*)`", page.read_text()))


def test_commands_in_sentences(digits: Edgesmith) -> None:
    """A dry run: words and options are right, and the project is enough for them."""
    found = {command for page in PAGES if page != GPU for command in in_sentences(page)}
    assert len(found) > 10
    for command in sorted(found):
        words = shlex.split(command)[1:]
        if words[0] == "report":
            assert "there is no report yet" in digits(*words).err
        else:
            digits.ok(*words, *(() if "--dry-run" in words else ("--dry-run",)))


def test_the_commands_for_a_gpu_fit_the_target_and_device_of_their_page(
    digits: Edgesmith, tmp_path: Path
) -> None:
    added = textwrap.dedent("".join(re.findall(r"```toml\n(.*?)```", GPU.read_text(), re.DOTALL)))
    folder = tmp_path / "digits"
    shutil.copytree(digits.folder, folder, ignore=shutil.ignore_patterns("build", "reports"))
    settings = folder / "edgesmith.toml"
    settings.write_text(settings.read_text() + textwrap.dedent(added))
    here = Edgesmith(folder=folder, cache=digits.cache)
    found = in_sentences(GPU)
    assert len(found) >= 3
    for command in sorted(found):
        words = shlex.split(command)[1:]
        if words[0] == "doctor":
            # Here, most likely, without a driver.
            assert "NVIDIA driver" in here(*words).out
        else:
            here.ok(*words, "--dry-run")


def test_every_excerpt_names_its_command() -> None:
    assert EXCERPTS
    for excerpt in EXCERPTS:
        assert excerpt.command, (
            f"{excerpt.page}: <!-- output of: ... --> before {excerpt.text[:60]}"
        )


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda e: f"{e.page} {e.command}")
def test_an_excerpt_is_the_commands_output(digits: Edgesmith, excerpt: Excerpt) -> None:
    here = Edgesmith(folder=digits.folder, cache=digits.cache, environment=ENOUGH)
    words = shlex.split(excerpt.command)
    assert words[0] == "edgesmith"
    assert masked(here.ok(*words[1:]).out) == masked(excerpt.text)
