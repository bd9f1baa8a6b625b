"""What integration tests share: the C++ side under AddressSanitizer and UBSan, built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sanitized import build_sanitized


@pytest.fixture(scope="session")
def sanitized_libraries() -> Path:
    """The folder of the sanitized libraries and the harness."""
    if shutil.which("g++") is None:
        pytest.skip("sanitizers need g++")
    return build_sanitized()
