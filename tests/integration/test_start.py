"""Starting is cheap: heavy packages are imported only where they are used."""

from __future__ import annotations

import subprocess
import sys

from workbench import ROOT, Edgesmith

HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "pydantic", "conan", "jinja2", "rich")


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh Python has imported after `statement`."""
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT / "builder")},
    )  # fmt: skip
    return {line.split(".")[0] for line in done.stdout.splitlines()}


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("from edgesmith.cli.main import main; main(['--help'])")
    assert "edgesmith" in loaded
    assert not loaded & set(HEAVY)


def test_help_of_a_command_imports_nothing_heavy() -> None:
    loaded = modules_after("from edgesmith.cli.main import main; main(['build', '--help'])")
    assert not loaded & set(HEAVY)


def test_an_unchanged_build_never_imports_torch(built: Edgesmith) -> None:
    folder, environment = built.folder, built.env()
    code = (
        "import sys; from edgesmith.cli.main import main;"
        f"code = main(['build', '-q', '-p', {str(folder)!r}]);"
        "print(' '.join(m for m in sys.modules if '.' not in m)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not {"torch", "onnx", "onnxruntime"} & set(done.stdout.split())
