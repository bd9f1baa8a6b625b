"""docs/devices.md from its first command to its last, against an sshd that stands for the board."""

from __future__ import annotations

import dataclasses
import re
import shlex

from sshd import Client, Sshd

from excerpts import excerpts, masked
from workbench import QUICK, ROOT, Edgesmith

PAGE = ROOT / "docs" / "devices.md"
ENOUGH = {**QUICK, "EDGESMITH_BENCH__MIN_ITERATIONS": "1000"}
# The board of the page is of another platform and elsewhere.
STAND_IN = {'"linux-aarch64"': '"linux-x86_64"', '"pi@192.0.2.10"': '"board"'}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def described(digits: Edgesmith) -> None:
    """Adds the page's target and all of its devices to the project."""
    text = "\n".join(blocks("toml"))
    for old, new in STAND_IN.items():
        assert old in text
        text = text.replace(old, new)
    with (digits.folder / "edgesmith.toml").open("a") as file:
        file.write("\n" + text)


def test_every_step_prints_what_the_page_says(
    digits: Edgesmith, client: Client, server: Sshd
) -> None:
    described(digits)
    here = dataclasses.replace(digits, environment={**digits.environment, **ENOUGH})
    shown = {excerpt.command: excerpt.text for excerpt in excerpts(PAGE)}
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert set(shown) == set(commands)
    for command in commands:
        printed = here.ok(*shlex.split(command)[1:]).out
        for name, instead in ((server.home, "/home/pi"), (digits.folder, "/home/you/digits")):
            printed = printed.replace(str(name), instead)
        lines = "\n".join(masked(printed.replace("\n", "\n\n")))
        for line in filter(None, masked(shown[command].replace("\n", "\n\n"))):
            assert line in lines, command
            lines = lines.partition(line)[2]


def test_commands_in_sentences(digits: Edgesmith, client: Client, server: Sshd) -> None:
    described(digits)
    found = re.findall(r"`(edgesmith [a-z][^`]*)`", PAGE.read_text())
    assert found
    for command in found:
        words = shlex.split(command)[1:]
        if words[0] == "report":
            assert "there is no report yet" in digits(*words).err
        else:
            digits.ok(*words, "--dry-run")
