"""What the harness says of files that are not right: under sanitizers, and never a hang."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness_cases import (
    BENCH,
    FIELDS,
    WRONG_PROVIDERS,
    WRONG_WORDS,
    all_cases,
)
from sanitized import Ended, run_program

from bad_input import Case, half_written
from edgesmith.bundle.content import (
    FilePart,
    ManifestContent,
    ModelPart,
    OperationsPart,
    OptionsPart,
    ProviderPart,
    VariantPart,
)
from edgesmith.report.schema import parse_report
from harness_files import good_manifest, write_bundle
from workbench import NOT_ROOT, root_can_be_dropped

CASES = all_cases()
# Fields of a manifest that only hosts and installers read.
NOT_OF_THE_HARNESS = {"requires", "runtime", "provenance", "quantization"}


def messages_of(report: dict[str, Any]) -> str:
    """Every error of a report."""
    errors = [report["error"], *(run["error"] for run in report["runs"])]
    return "\n".join(error["message"] for error in errors if error is not None)


def check_told(ended: Ended, case: Case) -> None:
    """The code, a valid report with the error in it, and the same words on stderr."""
    assert ended.code == case.code, ended.err
    report = parse_report(ended.out.encode(), where="stdout")
    assert report["exit_code"] == case.code
    told = messages_of(report)
    for words in case.says:
        assert words in told and words in ended.err
    assert bool(told) == (case.code != 0)


def test_the_table_has_every_field_that_the_harness_reads() -> None:
    parts = {"model": ModelPart, "files": FilePart, "variants": VariantPart}
    parts |= {"session_options": OptionsPart, "operations": OperationsPart}
    parts |= {"providers": ProviderPart}
    for name, part in parts.items():
        assert FIELDS[name].keys() == part.model_fields.keys()
    whole = ManifestContent.model_fields.keys() - NOT_OF_THE_HARNESS
    assert FIELDS[""].keys() == whole | {"schema_version"}
    assert good_manifest().keys() == FIELDS[""].keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_not_right_is_told(case: Case, sanitized_libraries: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a bundle"
    folder.mkdir()
    harness = write_bundle(folder, sanitized_libraries / "harness")
    case.spoil(folder)
    launcher: tuple[str, ...] = ()
    if "not readable" in case.name and os.geteuid() == 0:
        if not root_can_be_dropped():
            pytest.skip("the kernel refuses a user namespace, and root reads everything")
        launcher = NOT_ROOT
    words = [word.format(folder=folder) for word in case.command]
    check_told(run_program([*launcher, harness, *words]), case)
    assert half_written(tmp_path) == []


@pytest.mark.parametrize("name", ["model: cut", "samples: data cut", "manifest b'{'"])
def test_verify_tells_it_too(name: str, sanitized_libraries: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    harness = write_bundle(tmp_path / "bundle", sanitized_libraries / "harness")
    case.spoil(tmp_path / "bundle")
    words = [w.format(folder=tmp_path / "bundle") for w in case.command if "min-" not in w]
    ended = run_program([harness, "verify", *(w for w in words[1:] if w not in ("0", "1"))])
    assert ended.code == case.code
    document = json.loads(ended.out)
    assert document["passed"] is False and document["exit_code"] == case.code
    assert all(w in document["error"]["message"] and w in ended.err for w in case.says)


@pytest.mark.parametrize(("words", "says"), WRONG_WORDS, ids=lambda one: one[:60])
def test_a_command_line_that_is_not_right(
    words: str, says: str, sanitized_libraries: Path, tmp_path: Path
) -> None:
    """Nothing is measured, and nothing is on stdout."""
    harness = write_bundle(tmp_path / "bundle", sanitized_libraries / "harness")
    ended = run_program([harness, *words.split()])
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


@pytest.mark.parametrize(("words", "says"), WRONG_PROVIDERS, ids=lambda one: one[:60])
def test_a_provider_that_is_not_right(
    words: str, says: str, sanitized_libraries: Path, tmp_path: Path
) -> None:
    harness = write_bundle(tmp_path / "bundle", sanitized_libraries / "harness")
    case = Case(name=words, command=(*BENCH, *words.split()), code=2, says=(says,))
    check_told(run_program([harness, *case.command]), case)
    verified = run_program([harness, "verify", *words.split()])
    assert verified.code == 2 and says in verified.err
