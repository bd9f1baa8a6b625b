"""The wall: a unit test that starts a process or opens a connection fails."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest


def _forbidden(*arguments: Any, **keywords: Any) -> NoReturn:
    raise AssertionError("a unit test must not start processes or open connections")


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes subprocess and network raise."""
    monkeypatch.setattr(subprocess, "Popen", _forbidden)
    monkeypatch.setattr(socket.socket, "connect", _forbidden)


@pytest.fixture
def project_text() -> str:
    """A right project file."""
    return """
schema = 1
[model]
name = "tiny"
version = "1.2.3"
source = "model.py:build"
[model.inputs.image]
shape = ["batch", 1, 8, 8]
sizes = { batch = [1, 4] }
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[targets.host]
platform = "linux-x86_64"
[devices.desk]
target = "host"
transport = "local"
"""


@pytest.fixture
def project_file(tmp_path: Path, project_text: str) -> Iterator[Path]:
    """That project file on disk."""
    path = tmp_path / "edgesmith.toml"
    path.write_text(project_text)
    yield path
