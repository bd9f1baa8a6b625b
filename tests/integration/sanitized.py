"""Programs under AddressSanitizer and UBSan: how they are built, run, and watched for findings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import ROOT

# The folder and the options of `make test-cpp-sanitized`, which leaves nothing to build here.
BUILD = ROOT / "build" / "cpp-sanitized"
CONFIGURE = [
    "cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_UNITY_BUILD_BATCH_SIZE=10", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_COMPILER=g++",
    "-DCMAKE_C_COMPILER=gcc", "-DEDGESMITH_SANITIZE=ON",
]  # fmt: skip
SANITIZERS = {
    "ASAN_OPTIONS": (
        "detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1"
    ),
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
# A program that has not ended by then hangs.
DEADLINE_S = 250


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A finished program."""

    code: int
    out: str
    err: str


def require_no_finding(err: str) -> None:
    """Fails the test for what a sanitizer said."""
    assert "Sanitizer" not in err and "runtime error" not in err, err[-4000:]


def run_program(
    argv: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
) -> Ended:
    """Runs a program to its end; its findings and those of its children fail the test."""
    done = subprocess.run(
        list(map(str, argv)),
        env={**os.environ, **SANITIZERS, **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_S,
    )
    out, err = ((s or b"").decode(errors="replace") for s in (done.stdout, done.stderr))
    require_no_finding(err)
    return Ended(code=done.returncode, out=out, err=err)


def build_sanitized() -> Path:
    """Builds what is not up to date; returns the folder of the libraries and the harness."""
    for words in (CONFIGURE, ["cmake", "--build", BUILD]):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return BUILD / "runtime_cpp"
