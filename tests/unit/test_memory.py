from __future__ import annotations

from pathlib import Path

import pytest

from edgesmith.model import memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    8000000 kB\n"


@pytest.mark.parametrize(
    ("meminfo", "limit", "expected"),
    [
        (MEMINFO, "max", 8_192_000_000),
        (MEMINFO, "4000000000", 4_000_000_000),
        (MEMINFO, "9000000000", 8_192_000_000),
        (MEMINFO, "1000", 1 << 30),
        ("", "max", None),
        ("", "4000000000", 4_000_000_000),
    ],
)
def test_the_smaller_of_machine_and_container_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meminfo: str,
    limit: str,
    expected: int | None,
) -> None:
    (tmp_path / "meminfo").write_text(meminfo)
    (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (tmp_path / "missing", tmp_path / "limit"))
    assert memory.available_bytes() == expected
