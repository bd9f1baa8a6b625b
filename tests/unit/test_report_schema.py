"""Reading reports: version, schema, digest, and hostile content."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edgesmith.errors import EdgesmithError, IntegrityError, UsageError
from edgesmith.report.schema import (
    check_digest,
    load_report,
    parse_report,
    sealed,
    validate,
    write_report,
)

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"


@pytest.fixture
def report() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(EXAMPLE.read_text())
    return content


def test_the_example_is_valid(report: dict[str, Any]) -> None:
    assert load_report(EXAMPLE) == report


def test_written_report_comes_back_as_it_was(report: dict[str, Any], tmp_path: Path) -> None:
    written = write_report(tmp_path / "r.json", report)
    assert load_report(tmp_path / "r.json") == written
    assert {k: v for k, v in written.items() if k != "content_sha256"} == report


def test_an_edited_report_is_refused(report: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    write_report(file, report)
    file.write_text(file.read_text().replace("24310.0", "14310.0"))
    with pytest.raises(IntegrityError, match="changed after it was written"):
        load_report(file)


def test_reformatting_is_not_an_edit(report: dict[str, Any]) -> None:
    again = json.loads(json.dumps(sealed(report), indent=7, sort_keys=True))
    check_digest(again, where="x")


@pytest.mark.parametrize("version", ["2.0", "10.1", "0.9"])
def test_another_major_is_refused_by_name(report: dict[str, Any], version: str) -> None:
    report["schema_version"] = version
    with pytest.raises(IntegrityError, match=version.replace(".", r"\.")):
        validate(report, where="x")


def test_a_newer_minor_with_unknown_fields_is_read(report: dict[str, Any]) -> None:
    report["schema_version"] = "1.7"
    report["news"] = {"energy_j": 1.5}
    report["runs"][0]["news"] = 1
    validate(report, where="x")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"', b"[" * 100_000])
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_report(text, where="x")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_no_nan_and_no_infinity(report: dict[str, Any], constant: str) -> None:
    text = json.dumps(report).replace("24310.0", constant).encode()
    with pytest.raises(IntegrityError, match=constant):
        parse_report(text, where="x")


@pytest.mark.parametrize("key", ["context", "runs", "comparisons", "error", "exit_code", "kind"])
def test_a_missing_field_is_refused(report: dict[str, Any], key: str) -> None:
    del report[key]
    with pytest.raises(IntegrityError):
        validate(report, where="x")


def test_mistakes_are_named_with_their_place(report: dict[str, Any]) -> None:
    report["runs"][1]["verdict"] = "splendid"
    with pytest.raises(IntegrityError, match=r"runs\[1\]\.verdict"):
        validate(report, where="x")


def test_a_failed_run_without_error_is_refused(report: dict[str, Any]) -> None:
    broken = copy.deepcopy(report)
    broken["runs"][2]["error"] = None
    with pytest.raises(IntegrityError):
        validate(broken, where="x")


@pytest.mark.parametrize("copies", [{}, {"rounds": 0}, [], "none"])
def test_copies_without_their_figures_are_refused(report: dict[str, Any], copies: Any) -> None:
    report["runs"][0]["copies"] = copies
    with pytest.raises(IntegrityError, match=r"runs\[0\]\.copies"):
        validate(report, where="x")


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_an_unreadable_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_report(tmp_path / name)
    assert isinstance(caught.value, EdgesmithError)
    assert caught.value.hint
