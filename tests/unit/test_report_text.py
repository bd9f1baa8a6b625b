"""The text form: all that counts is in it, nothing foreign reaches the terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesmith.report.decision import decide
from edgesmith.report.gates import judge_gates
from edgesmith.report.numbers import (
    counted,
    format_bytes,
    format_loss,
    format_metric,
    format_time,
    significant,
)
from edgesmith.report.plain import Style, clean, display_width, pad, wrap
from edgesmith.report.schema import validate
from edgesmith.report.text import render_report

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\r\n\u202eb\u2066\u0000\x9bc"


@pytest.fixture
def report() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(EXAMPLE.read_text())
    content["decision"] = decide(content, accuracy_budget=0.01).record()
    limits = {"max_p99_latency_ms": 20.0, "max_accuracy_loss": 0.005}
    content["gates"] = [g.record() for g in judge_gates(content, limits, variant="int8")]
    return content


def test_what_a_reader_needs_is_there(report: dict[str, Any]) -> None:
    text = render_report(report, Style(width=100), file="reports/x.json")
    for needed in (
        "digits 1.0.0",
        "AMD EPYC",
        "abababababababab",
        "2026-11-05 10:20:30 UTC",
        "61.2 µs",
        "24.3 µs",
        "[29.2, 36.5]",
        "40,329 /s",
        "98.0 % [96.2, 99.3] n=500",
        "99.6 %",
        "42.0 kB",
        "7.45 ms",
        "147 µs",
        "33.6 MB",
        "uncontrolled",
        "2.52x [2.49x, 2.55x]",
        "0.20 points [-0.40, 0.80]",
        "27 % of the model size",
        "SIGKILL",
        "the governor cannot be",
        "pass",
        "undecided",
        "without control",
        "ship int8",
        "reports/x.json",
    ):
        assert needed in text, needed


def test_what_was_judged_and_what_could_not_be_read_are_told(report: dict[str, Any]) -> None:
    run = report["runs"][0]
    hogged = {"name": "no_other_work", "passed": False, "advice": "stop it"}
    run["conditions"].append({**hogged, "value": 1.4375, "limit": 0.13, "unit": "CPUs"})
    run["not_readable"] = ["temperature", "throttling"]
    run["energy"] = {"joules_per_inference": 0.0123, "source": "rapl"}
    text = render_report(report, Style(width=120))
    assert "no other work not kept (fp32): stop it (1.44 CPUs, limit 0.130)" in text
    assert "not readable here: temperature, throttling" in text
    assert re.search(r"energy per inference +12\.3 mJ +-", text)


def test_failed_runs_have_no_column(report: dict[str, Any]) -> None:
    heads = [line.split() for line in render_report(report, Style(width=100)).splitlines()]
    assert ["fp32", "int8"] in heads


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(report: dict[str, Any], width: int) -> None:
    text = render_report(report, Style(width=width, colour=True))
    assert max(display_width(line) for line in text.splitlines()) <= width


def test_narrow_terminals_still_get_every_interval(report: dict[str, Any]) -> None:
    for width in (40, 70, 120):
        text = render_report(report, Style(width=width))
        assert "[29.2, 36.5]" in text
        assert "[73.5, 91.9]" in text


def test_colours_only_where_asked(report: dict[str, Any]) -> None:
    assert "\x1b" not in render_report(report, Style())
    assert "\x1b[32m" in render_report(report, Style(colour=True))


def test_colours_do_not_move_the_columns(report: dict[str, Any]) -> None:
    coloured = render_report(report, Style(colour=True))
    assert re.sub(r"\x1b\[\d+m", "", coloured) == render_report(report, Style())


def test_profiles_stand_next_to_each_other(report: dict[str, Any]) -> None:
    for run in report["runs"][:2]:
        for entry in run["profile"]:
            entry["inferences"] = 10
    text = render_report(report, Style(width=100))
    rows = [line.split() for line in text.splitlines()]
    assert ["Conv", "120", "µs,", "80", "%", "in", "6", "nodes", "-"] in rows
    assert ["QGemm", "-", "30.0", "µs,", "20", "%", "in", "2", "nodes"] in rows
    for run in report["runs"]:
        run["profile"] = None
    assert "time by operator" not in render_report(report, Style(width=100))


def scenario_report(report: dict[str, Any], scenario: str, found: dict[str, Any]) -> str:
    for run in report["runs"]:
        run["requested"]["scenario"], run["scenario"] = scenario, found
    return render_report(report, Style(width=100))


def test_scenarios_tell_what_they_found(report: dict[str, Any]) -> None:
    delay = {"p50_ns": 60_000, "p99_ns": 90_000, "max_ns": 1_200_000}
    frames = {"kind": "fixed-rate", "rate_hz": 30.0, "frames": 1500, "late": 30, "waiting": 7}
    more = {"late_share": 0.02, "max_queue": 9, "achieved_hz": 29.5, "wake_delay": delay}
    text = scenario_report(report, "fixed-rate:30", frames | more)
    assert "30 frames/s" in text
    for needed in ("30 of 1,500 (2 %)", "29.5 of 30 /s", "9, 7 left", "up to 1.20 ms"):
        assert needed in text, needed
    soak = {"kind": "soak", "latency_growth": 0.012, "memory_growth": -0.0001}
    text = scenario_report(report, "soak:60", soak)
    assert "soak of 60 s" in text
    assert "+1.20 %" in text
    assert "2 streams at once" in scenario_report(report, "offline:2", {"kind": "offline"})


def test_copies_to_a_gpu_have_rows(report: dict[str, Any]) -> None:
    assert "GPU" not in render_report(report, Style(width=120))
    run = report["runs"][0]
    run["copies"] = {
        "host_to_device": {"bytes": 602_112, "median_ns": 91_500.0},
        "device_to_host": {"bytes": 4_000, "median_ns": 8_250.0},
        "on_device_ns": 412_000.0,
        "synchronize_ns": 3_000.0,
        "rounds": 100,
        "output_difference": 0.0,
        "reasons": {},
    }
    run["effective"]["placement"] = {"CUDAExecutionProvider": 7, "CPUExecutionProvider": 1}
    run["effective"]["copies_in_graph"] = {"to_device": 1, "to_host": 2}
    validate(report, where="x")
    text = render_report(report, Style(width=120))
    assert re.search(r"copy to the GPU +91\.5 µs, 602 kB +-", text)
    assert re.search(r"inference on the GPU +415 µs +-", text)
    assert re.search(r"copy back +8\.25 µs, 4\.00 kB +-", text)
    assert "copies within an inference: 1 to the GPU, 2 back" in text
    run["copies"] = None
    run["reasons"] = {"copies": "the CUDA runtime's library is not found"}
    validate(report, where="x")
    assert "copy back" not in render_report(report, Style(width=120))


def test_ascii_terminals_get_ascii(report: dict[str, Any]) -> None:
    report["context"]["device"]["cpu"] = "Prozessor Größe 日本"
    text = render_report(report, Style(ascii_only=True))
    assert text.isascii()
    assert "61.2 us" in text


def everywhere(value: Any, text: str) -> Any:
    """The report with `text` put into every string that its schema leaves free."""
    fixed = {
        "schema_version",
        "kind",
        "id",
        "sha256",
        "verdict",
        "started_at",
        "finished_at",
        "unit",
        "scenario",
        "scale",
        "outputs",
        "basis",
        "ci95",
    }
    if isinstance(value, dict):
        return {k: v if k in fixed else everywhere(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [everywhere(v, text) for v in value]
    return value + text if isinstance(value, str) else value


def test_foreign_strings_are_harmless_everywhere(report: dict[str, Any]) -> None:
    text = render_report(everywhere(report, HOSTILE), Style(width=100))
    harmful = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")}
    assert harmful == {"\n"}


@given(st.text())
def test_clean_text_stays_on_its_line(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 400
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(shown) == shown


@given(st.text(alphabet="ab 日µ", max_size=200), st.integers(10, 60))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    lines = wrap(text, width, indent="  ")
    assert " ".join(lines).split() == text.split()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (9.996, "10.0"),
        (61.2, "61.2"),
        (999.6, "1000"),
        (0.0123, "0.0123"),
        (-2.5, "-2.50"),
        (123456.0, "123456"),
        (1e-7, "1.00e-07"),
        (2.5e9, "2.50e+09"),
    ],
)
def test_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    assert [counted(n, "group") for n in (0, 1, 2)] == ["0 groups", "1 group", "2 groups"]


def test_units() -> None:
    assert format_time(999) == "999 ns"
    assert format_time(61_234) == "61.2 µs"
    assert format_time(1_500_000) == "1.50 ms"
    assert format_time(2e9) == "2.00 s"
    assert format_bytes(0) == "0 B"
    assert format_bytes(154_321) == "154 kB"
    assert format_bytes(29_400_000) == "29.4 MB"
    assert format_metric("top1", 0.982) == "98.2 %"
    assert format_loss("top1", 0.002) == "0.20 points"
    assert format_loss("sqnr_db", 1.234) == "1.23 dB in SQNR"
    assert format_loss("top1", -0.00001) == "0.00 points"


def test_padding_counts_columns_not_characters() -> None:
    assert pad("日本", 6) == "日本  "
    assert pad("\x1b[1mab\x1b[0m", 4, right=True) == "  \x1b[1mab\x1b[0m"
