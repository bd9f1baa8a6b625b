"""Bad input of every kind: exit code, place, finding and remedy; nothing half-made stays."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import Edgesmith

WHOLE_MODEL = "import torch\n\n\ndef build():\n    return {}\n"


def edit(project: Edgesmith, name: str, old: str, new: str) -> None:
    path = project.folder / name
    text = path.read_text()
    assert old in text, f"{old!r} is not in {name}"
    path.write_text(text.replace(old, new))


def write(name: str, text: str) -> Callable[[Edgesmith], None]:
    def change(project: Edgesmith) -> None:
        (project.folder / name).write_text(text)

    return change


def edited(name: str, old: str, new: str) -> Callable[[Edgesmith], None]:
    return lambda project: edit(project, name, old, new)


def misspelt_and_wrong(project: Edgesmith) -> None:
    edit(project, "edgesmith.toml", "calibration_samples", "calibration_sampels")
    edit(project, "edgesmith.toml", 'transport = "local"', 'transport = "carrier pigeon"')


def onnx_source(content: bytes) -> Callable[[Edgesmith], None]:
    def change(project: Edgesmith) -> None:
        edit(project, "edgesmith.toml", '"model.py:build"', '"model.onnx"')
        (project.folder / "model.onnx").write_bytes(content)

    return change


def truncated_onnx(project: Edgesmith) -> None:
    whole = (project.folder / "build/digits/export/model.onnx").read_bytes()
    onnx_source(whole[: len(whole) // 2])(project)


def foreign_build_folder(project: Edgesmith) -> None:
    folder = project.folder / "build/digits/simplify"
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")


def npz_of(array: np.ndarray) -> Callable[[Edgesmith], None]:
    def change(project: Edgesmith) -> None:
        (project.folder / "pictures").mkdir()
        np.savez(project.folder / "pictures" / "0.npz", image=array)
        edit(project, "edgesmith.toml", '"data.py:calibration"', '"pictures"')

    return change


def calibration(body: str) -> Callable[[Edgesmith], None]:
    functions = [f"def {name}():\n    {body}\n" for name in ("calibration", "evaluation")]
    return write("data.py", "import numpy as np\n\n\n" + "\n\n".join(functions))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake, the command that meets it, and what must be said of it."""

    name: str
    change: Callable[[Edgesmith], None]
    command: tuple[str, ...] = ("quantize",)
    code: int
    says: tuple[str, ...]


NAN = np.full((1, 1, 8, 8), np.nan, np.float32)
CASES = [
    Case(name="two mistakes", change=misspelt_and_wrong, code=2, command=("build",),
         says=("did you mean 'calibration_samples'", "carrier pigeon", "edgesmith.toml")),
    Case(name="not toml", change=write("edgesmith.toml", "schema = = 1"), code=2,
         says=("not valid TOML", "line 1", "fix:")),
    Case(name="unknown target", change=lambda p: None, command=("build", "--target", "hots"),
         code=2, says=("did you mean 'host'",)),
    Case(name="unknown option", change=lambda p: None, command=("build", "--tragets"), code=2,
         says=("did you mean '--target'",)),
    Case(name="missing source", change=lambda p: (p.folder / "model.py").unlink(), code=3,
         says=("'model.py' does not exist", "model.source")),
    Case(name="missing weights", change=lambda p: (p.folder / "weights.safetensors").unlink(),
         code=3, says=("weights.safetensors", "model.py")),
    Case(name="no such callable", code=3, change=edited("edgesmith.toml", "py:build", "py:bild"),
         says=("has no 'bild'", "did you mean 'build'")),
    Case(name="syntax error", change=write("model.py", "def build(:\n"), code=3,
         says=("SyntaxError", "model.py:1", "correct the code")),
    Case(name="no module", change=write("model.py", WHOLE_MODEL), code=3,
         says=("returned a dict, not a torch.nn.Module", "model.source")),
    Case(name="forward raises", code=3, says=("ValueError: no such digit", "network.py:"),
         change=lambda p: (p.folder / "network.py").write_text(
             (p.folder / "network.py").read_text().replace(
                 "def forward(self, image: torch.Tensor) -> torch.Tensor:",
                 "def forward(self, image: torch.Tensor) -> torch.Tensor:\n"
                 "        raise ValueError('no such digit')"))),
    Case(name="user code exits", code=3, says=("ended the process", "model.source"),
         change=write("model.py", "import os\n\n\ndef build():\n    os._exit(0)\n")),
    Case(name="user code calls exit", code=3, says=("SystemExit: 3", "model.py:5"),
         change=write("model.py", "import sys\n\n\ndef build():\n    sys.exit(3)\n")),
    Case(name="user code dies", code=3, says=("SIGSEGV", "model.py"),
         change=write("model.py", "import os, signal\n\n\ndef build():\n"
                      "    os.kill(os.getpid(), signal.SIGSEGV)\n")),
    Case(name="wrong input shape", code=3, says=("[1, 1, 4, 8]", "[model.inputs]"),
         change=edited("edgesmith.toml", '["batch", 1, 8, 8]', '["batch", 1, 4, 8]')),
    Case(name="sample of wrong shape", code=3, says=("shape [8, 8]", "data.calibration"),
         change=npz_of(np.zeros((8, 8), np.float32))),
    Case(name="sample of wrong dtype", code=3, says=("float64", "astype"),
         change=npz_of(np.zeros((1, 1, 8, 8)))),
    Case(name="NaN in samples", code=3, says=("NaN", "sample 0"), change=npz_of(NAN)),
    Case(name="empty data set", code=3, says=("the data set is empty", "data.calibration"),
         change=calibration("return iter(())")),
    Case(name="wrong input name", code=3, says=("['picture']", "['image']"),
         change=calibration('yield {"picture": np.zeros((1, 1, 8, 8), np.float32)}')),
    Case(name="data raises", code=3, says=("FileNotFoundError", "data.py:5"),
         change=calibration("yield open('/nowhere')")),
    Case(name="no data folder", code=3, says=("no .npz", "data.calibration"),
         change=edited("edgesmith.toml", '"data.py:calibration"', '"pictures"')),
    Case(name="truncated onnx", code=3, says=("not a valid ONNX model", "truncated"),
         change=truncated_onnx),
    Case(name="empty onnx", code=3, says=("ONNX",), change=onnx_source(b"")),
    Case(name="inspect of text", change=lambda p: None, command=("inspect", "model.py"), code=3,
         says=("not a valid ONNX model", "model.py")),
    Case(name="unsupported source", code=2, says=("model.source", "FILE.onnx"),
         change=edited("edgesmith.toml", '"model.py:build"', '"model.h5"')),
    Case(name="exclude matches nothing", code=2, says=("'Convv' matches no", "quantize.exclude"),
         change=edited("edgesmith.toml", "[bench]", 'exclude = ["Convv"]\n[bench]')),
    Case(name="budget missed", code=4, says=("the budget is", "exclude"),
         change=lambda p: (
             edit(p, "edgesmith.toml", "accuracy_budget = 0.01", "accuracy_budget = 0.0"),
             edit(p, "edgesmith.toml", 'metrics = ["top1"]', 'metrics = ["max_abs_error"]'))),
    Case(name="folder that is not ours", code=10, says=("not made by edgesmith", "simplify"),
         change=foreign_build_folder),
    Case(name="init into a full folder", change=lambda p: None, command=("init", "."), code=10,
         says=("not empty",)),
    Case(name="missing interpreter", code=2, says=("nowhere/python", "model.python"),
         change=edited("edgesmith.toml", "[model.inputs.image]",
                       'python = "nowhere/python"\n[model.inputs.image]')),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_told_with_place_and_remedy(digits: Edgesmith, case: Case) -> None:
    case.change(digits)
    before = snapshot(digits.folder)
    result = digits(*case.command)
    assert result.code == case.code, result.err
    for words in case.says:
        assert words in result.err
    assert "fix:" in result.err
    assert result.out == ""
    assert half_written(digits.folder) == []
    assert unfinished_changes(before, digits.folder) == []


def snapshot(folder: Path) -> dict[Path, bytes]:
    """Records of the stages: a stage's record changes only with its whole result."""
    return {p: p.read_bytes() for p in folder.rglob("record.json")}


def half_written(folder: Path) -> list[Path]:
    """Temporary folders and files that an error left."""
    return [p for p in folder.rglob(".*") if ".tmp-" in p.name or p.name.startswith(".scratch")]


def unfinished_changes(before: dict[Path, bytes], folder: Path) -> list[Path]:
    """Stage folders without a record or marker: results under a final name that are not whole."""
    stages = {p.parent for p in before if p.exists()}
    return [s for s in stages if not (s / ".edgesmith.json").is_file()]


def test_an_error_is_one_json_document_too(digits: Edgesmith) -> None:
    result = digits("build", "--target", "hots", "--format", "json")
    assert result.code == 2
    assert result.json()["exit_code"] == 2
    assert "did you mean" in result.json()["what"]


def test_an_interrupt_in_the_middle_of_quantization(digits: Edgesmith) -> None:
    edit(digits, "edgesmith.toml", 'calibration = "auto"', 'calibration = "entropy"')
    before = (digits.folder / "build/digits/host/quantize/record.json").read_bytes()
    process = digits.start("quantize", "-v")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("quantize"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert half_written(digits.folder) == []
    assert (digits.folder / "build/digits/host/quantize/record.json").read_bytes() == before
    assert "entropy" in digits.ok("quantize").out


def test_a_full_disk(digits: Edgesmith, tmp_path: Path) -> None:
    """A file size limit stands for the full disk: writing more gives an error, not a signal."""
    import resource
    import subprocess
    import sys

    edit(digits, "edgesmith.toml", "calibration_samples = 200", "calibration_samples = 199")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [sys.executable, "-m", "edgesmith", "quantize"],
        cwd=digits.folder, env=digits.env(), capture_output=True, text=True, preexec_fn=limit,
        timeout=300,
    )  # fmt: skip
    assert done.returncode in (3, 10), done.stderr
    assert "Traceback" not in done.stderr
    assert "fix:" in done.stderr
    assert half_written(digits.folder) == []
