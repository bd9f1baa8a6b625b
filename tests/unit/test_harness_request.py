"""What the settings of a measurement become on the harness's command line."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import ValidationError

from edgesmith.devices.harness import HarnessRequest, expected_limit_s, process_count
from edgesmith.project.bench_settings import BenchSettings


def test_scenarios_and_options_reach_the_harness() -> None:
    settings = BenchSettings.model_validate(
        {
            "scenarios": [
                {"kind": "single-stream"},
                {"kind": "offline", "streams": 2},
                {"kind": "fixed-rate", "rate_hz": 29.97},
                {"kind": "soak", "seconds": 3600},
            ],
            "cpus": "0-1,3",
            "spinning": False,
            "arena": False,
        }
    )
    request = HarnessRequest(
        program="h", report="r", samples="s", settings=settings, id_salt="x", profile=True
    )
    argv = request.argv()
    named = {k: [v for found, v in pairwise(argv) if found == k] for k in argv}
    assert named["--scenario"] == ["single-stream", "offline:2", "fixed-rate:29.97", "soak:3600"]
    assert (named["--cpus"], named["--spinning"], named["--arena"]) == (["0-1,3"], ["off"], ["off"])
    assert "--profile" in argv
    # Four variants; three processes each but for the soak, which has one.
    assert process_count(settings) == 4 * (3 + 3 + 3 + 1)
    assert expected_limit_s(settings) > expected_limit_s(BenchSettings()) + 3 * 3600


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ({"kind": "offline"}, "streams = NUMBER, which kind 'offline' needs"),
        ({"kind": "soak", "rate_hz": 3.0, "seconds": 1.0}, "no rate_hz, which has no meaning"),
        ({"kind": "single-stream", "streams": 2}, "no streams, which has no meaning"),
    ],
)
def test_a_scenario_has_what_its_kind_needs(scenario: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BenchSettings.model_validate({"scenarios": [scenario]})


def test_the_command_line_of_the_harness() -> None:
    settings = BenchSettings(
        shapes=({"batch": 1}, {"batch": 4, "size": 32}, {"batch": 1, "size": 1}),
        threads=(1, 4),
        min_seconds=0.5,
        min_iterations=100,
        processes=2,
    )
    request = HarnessRequest(
        program="/r/bin/harness",
        report="/r/report.json",
        samples="/r/s.safetensors",
        settings=settings,
        id_salt="a b; rm",
    )
    assert request.argv() == [
        "/r/bin/harness",
        "bench",
        "--variant",
        "fp32",
        "--variant",
        "fp16",
        "--variant",
        "int8",
        "--variant",
        "int8-dynamic",
        "--threads",
        "1,4",
        "--shape",
        "batch=1,size=1",
        "--shape",
        "batch=4,size=32",
        "--scenario",
        "single-stream",
        "--min-seconds",
        "0.5",
        "--min-iterations",
        "100",
        "--processes",
        "2",
        "--id-salt",
        "a b; rm",
        "--json",
        "/r/report.json",
        "--samples-out",
        "/r/s.safetensors",
    ]
    assert expected_limit_s(settings) > 8 * 2 * 0.5
