"""What integration tests share: the worker in process, the C++ side under sanitizers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sanitized import build_sanitized

from in_process import serve_in_process


@pytest.fixture
def worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker answers in this process: many models, one import of torch."""
    serve_in_process(monkeypatch)


@pytest.fixture(scope="session")
def sanitized_libraries() -> Path:
    """The folder of the sanitized libraries and the harness."""
    if shutil.which("g++") is None:
        pytest.skip("sanitizers need g++")
    return build_sanitized()
