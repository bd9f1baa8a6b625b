"""`inspect --netron` hands the file to the program and ends when that does, or at Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import onnx
import pytest
from onnx import parser

from workbench import Edgesmith

PROGRAM = """#!{python}
import sys, time
print("Serving", *sys.argv[1:], flush=True)
{then}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Edgesmith:
    """A folder with a model, and a Netron of our own on the PATH."""
    text = '<ir_version: 9, opset_import: ["": 18]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    onnx.save(parser.parse_model(text), tmp_path / "model.onnx")
    programs = tmp_path / "bin"
    programs.mkdir()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return Edgesmith(folder=tmp_path, cache=tmp_path / "cache", environment={"PATH": path})


def write_netron(folder: Path, then: str) -> None:
    program = folder / "bin" / "netron"
    program.write_text(PROGRAM.format(python=sys.executable, then=then))
    program.chmod(0o755)


def test_netron_gets_the_file_and_listens_on_loopback_only(bench: Edgesmith) -> None:
    write_netron(bench.folder, "")
    done = bench.ok("inspect", "model.onnx", "--netron")
    model = bench.folder / "model.onnx"
    assert f"Serving --host 127.0.0.1 --browse {model}" in done.err
    assert "1 nodes" in done.out


def test_netron_that_fails_is_told(bench: Edgesmith) -> None:
    write_netron(bench.folder, "sys.exit('the port is taken')")
    done = bench("inspect", "model.onnx", "--netron")
    assert done.code == 2
    assert "the port is taken" in done.err


def test_ctrl_c_ends_netron_and_the_command_ends_well(bench: Edgesmith) -> None:
    write_netron(bench.folder, "time.sleep(600)")
    process = bench.start("inspect", "model.onnx", "--netron")
    assert process.stderr is not None
    while "Serving" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Netron was ended" in err
    assert "1 nodes" in out
