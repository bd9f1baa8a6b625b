from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesmith import __version__
from edgesmith.cli import main as command_line
from edgesmith.cli.init import known_examples
from edgesmith.cli.main import VERBS, main
from edgesmith.errors import DeviceError


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"]):
        code, out, err = run(capsys, *words)
        assert (code, err) == (0, "")
        assert all(f"  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_exists_and_has_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    for option in ("--project", "--format", "--dry-run", "--offline", "--no-color"):
        assert option in out
    examples = out.partition("\nexamples:\n")[2].splitlines()
    assert examples
    assert all(f"edgesmith {verb}" in line for line in examples)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"edgesmith {__version__}\n", "")
    assert run(capsys, "build", "--version")[1] == f"edgesmith {__version__}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["biuld"], "did you mean 'build'"),
        (["build", "--dry-rum"], "did you mean '--dry-run'"),
        (["--formt", "json"], "--help"),
        (["build", "stray"], "unknown option or argument 'stray'"),
        (["build", "--format", "xml"], "invalid choice: 'xml'"),
        (["inspect"], "MODEL"),
    ],
)
def test_a_wrong_command_line_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert "fix:" in err


def test_options_may_stand_before_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words in (["-p", str(tmp_path), "export"], ["export", "-p", str(tmp_path)]):
        code, _, err = run(capsys, *words)
        assert code == 2
        assert str(tmp_path) in err


def test_an_error_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "export", "-p", str(tmp_path), "--format", "json")
    assert json.loads(out)["exit_code"] == code == 2
    assert err.startswith("error:")


@pytest.mark.parametrize(
    ("raised", "code"),
    [(KeyboardInterrupt(), 130), (DeviceError("x", hint="y"), 6), (OSError(28, "full"), 10)],
)
def test_exceptions_become_exit_codes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    code: int,
) -> None:
    def fail(words: list[str]) -> None:
        raise raised

    monkeypatch.setattr(command_line, "_dispatch", fail)
    found, out, err = run(capsys, "build")
    assert (found, out) == (code, "")
    assert "fix:" in err


def test_a_bug_leaves_its_trace_in_a_named_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(words: list[str]) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(command_line, "_dispatch", fail)
    monkeypatch.setattr(command_line.tempfile, "tempdir", str(tmp_path))
    code, _, err = run(capsys, "build")
    assert code == 70
    (trace,) = tmp_path.iterdir()
    assert str(trace) in err
    assert "ZeroDivisionError" in trace.read_text()
    assert "Traceback" not in err


def test_help_of_init_names_every_example(capsys: pytest.CaptureFixture[str]) -> None:
    # The option's own words, not the examples of commands below; lines break at hyphens.
    text = "".join(run(capsys, "init", "--help")[1].partition("examples:")[0].split())
    assert known_examples() == ["digits", "digits-everywhere", "efficientnet-lite0"]
    assert all(name in text for name in known_examples())


def test_init_writes_the_example_and_dry_run_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "new"
    assert run(capsys, "init", str(target), "--dry-run")[0] == 0
    assert not target.exists()
    assert run(capsys, "init", str(target))[0] == 0
    assert (target / "edgesmith.toml").is_file()
    assert not (target / "build").exists()
    assert run(capsys, "init", str(target))[0] == 10
    code, _, err = run(capsys, "init", str(tmp_path / "x"), "--example", "digit")
    assert code == 2
    assert "did you mean 'digits'" in err


def test_clean_keeps_what_is_not_ours(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "new"
    run(capsys, "init", str(target))
    ours, theirs = target / "build/digits/export", target / "build/digits/notes"
    for folder in (ours, theirs):
        folder.mkdir(parents=True)
    (ours / ".edgesmith.json").write_text("{}")
    (theirs / "a.txt").write_text("mine")
    (target / "reports").mkdir()
    (target / "reports" / "r.json").write_text("{}")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".edgesmith.json").write_text("{}")
    (target / "build/digits/link").symlink_to(outside)
    code, out, _ = run(capsys, "clean", "-p", str(target), "--format", "json")
    assert code == 0
    assert json.loads(out)["removed"][0].endswith("export")
    assert not ours.exists()
    assert (theirs / "a.txt").exists()
    assert (target / "reports" / "r.json").exists()
    assert (outside / ".edgesmith.json").exists()
