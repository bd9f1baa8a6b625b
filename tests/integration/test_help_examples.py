"""The examples that `--help` shows work in a project as `init` makes it."""

from __future__ import annotations

import re
import shlex

import pytest

from edgesmith.cli.main import VERBS
from workbench import QUICK, Edgesmith

VARIABLE = re.compile(r"(EDGESMITH_\w+)=(.*)")


@pytest.mark.parametrize("verb", VERBS)
def test_examples_of_a_command(digits: Edgesmith, verb: str) -> None:
    """Each in turn, as a user would try them; bench and report need a release and a report."""
    help_text = digits.ok(verb, "--help").out
    examples = help_text.partition("\nexamples:\n")[2].splitlines()
    assert examples
    if verb == "bench":
        run_line(digits, "edgesmith flash")
    if verb == "report":
        run_line(digits, "edgesmith run")
    for line in examples:
        run_line(digits, line)


def run_line(project: Edgesmith, line: str) -> None:
    """Runs a line of a shell: variables, then a command of edgesmith."""
    words = shlex.split(line)
    variables = dict(QUICK)
    while found := VARIABLE.fullmatch(words[0]):
        variables[found[1]] = found[2]
        words = words[1:]
    assert words[0] == "edgesmith", line
    Edgesmith(folder=project.folder, cache=project.cache, environment=variables).ok(*words[1:])
