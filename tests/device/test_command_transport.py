"""Devices that a user's own programs reach, such as docker's, adb's, or a serial console's."""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from pathlib import Path

import pytest
from over_ssh import await_none

from edgesmith.devices.command import CommandTransport, Tools
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import DeviceBusyError, RemoteCommand
from edgesmith.errors import DeviceError, EdgesmithError, IntegrityError
from edgesmith.events import EventStream
from workbench import QUICK, Edgesmith

# As a program in a container: each word its own, exit codes and streams as they are.
CONTAINER = 'exec env -i PATH="$PATH" HOME="$BOX" "$@"\n'
# As an old console: one text, lines that end otherwise, both streams in one, no exit code.
CONSOLE = (
    'echo connected; env -i PATH="$PATH" HOME="$BOX" sh -c "$1" 2>&1 | sed "s/$/\\r/"\nexit 0\n'
)
COPY = 'mkdir -p "$BOX" && cp "$1" "$2"\n'


def tool(folder: Path, name: str, body: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\nBOX='{folder / 'box'}'\n{body}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def make(
    folder: Path, *exec_words: str | Path, push: str = COPY, root: str = "edge smith"
) -> CommandTransport:
    (folder / "box").mkdir(exist_ok=True)
    pushing = (str(tool(folder, "push", push)), "{local}", "{remote}")
    tools = Tools(push=pushing, exec=tuple(map(str, exec_words)))
    return CommandTransport(device="box", root=root, tools=tools, events=EventStream())


def refused_put(
    box: CommandTransport, folder: Path, deadline: Deadline | None = None
) -> EdgesmithError:
    """The error of sending a file."""
    file = folder / "file"
    file.write_bytes(b"some bytes")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(EdgesmithError) as caught:
        box.put(file, "a/b", sha256=sha256, mode=0o644, deadline=deadline or Deadline.after(60))
    return caught.value


@pytest.fixture(params=["container", "console"])
def box(tmp_path: Path, request: pytest.FixtureRequest) -> CommandTransport:
    if request.param == "container":
        return make(tmp_path, tool(tmp_path, "run", CONTAINER))
    return make(tmp_path, tool(tmp_path, "run", CONSOLE), "{command}")


def test_programs_and_files(box: CommandTransport, tmp_path: Path) -> None:
    deadline = Deadline.after(60)
    assert box.root == str(tmp_path / "box/edge smith")
    script = ["sh", "-c", 'printf "%s|" "$@"; exit 3', "sh", "two words", "$HOME", "it's", ""]
    command = RemoteCommand(argv=script, purpose="x", hint="x", accept=(3,))
    done = box.run(command, deadline=deadline)
    assert (done.output, done.returncode) == ("two words|$HOME|it's||", 3)
    file = tmp_path / "file"
    file.write_bytes(os.urandom(100_000) + b"\r\n\n")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    box.put(file, "a/b", sha256=sha256, mode=0o750, deadline=deadline)
    there = Path(box.path("a/b"))
    assert there.read_bytes() == file.read_bytes() and there.stat().st_mode & 0o777 == 0o750
    box.fetch("a/b", tmp_path / "back", max_bytes=1 << 20, deadline=deadline)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert box.exists("a/b", deadline) and not box.exists("a/c", deadline)
    assert box.free_bytes(deadline) > 0 and box.room(deadline).writable
    with pytest.raises(DeviceError, match="could not be started"):
        box.run(RemoteCommand(argv=["no-such-program"], purpose="x", hint="x"), deadline=deadline)


def test_after_its_deadline_a_program_is_ended(box: CommandTransport) -> None:
    token = f"token-{uuid.uuid4()}"
    argv = ["sh", "-c", 'perl -e "sleep 600" "$0"; :', token]
    with pytest.raises(DeviceError, match="took longer"):
        box.run(RemoteCommand(argv=argv, purpose="x", hint="x"), deadline=Deadline.after(2))
    await_none(token)


def test_one_at_a_time(tmp_path: Path) -> None:
    run = tool(tmp_path, "run", CONTAINER)
    one, other = make(tmp_path, run), make(tmp_path, run)
    with one.exclusive("lock"), pytest.raises(DeviceBusyError), other.exclusive("lock"):
        raise AssertionError("two hold the lock")
    with other.exclusive("lock"):
        pass


@pytest.mark.parametrize(
    ("run", "push", "says"),
    [
        ("echo no such box >&2; exit 4\n", COPY, "no such box"),
        (CONTAINER, "echo no cable >&2; exit 1\n", "no cable"),
        (CONTAINER, "exit 0\n", "differently from what was sent"),
        (CONTAINER, 'head -c 5 "$1" >"$2"\n', "differently from what was sent"),
    ],
)
def test_a_tool_that_fails(tmp_path: Path, run: str, push: str, says: str) -> None:
    box = make(tmp_path, tool(tmp_path, "run", run), push=push)
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises((DeviceError, IntegrityError), match=says) as caught:
        box.put(file, "a/b", sha256=sha256, mode=0o644, deadline=Deadline.after(30))
    assert caught.value.hint
    assert not (tmp_path / "box/edge smith/a/b").exists()


@pytest.mark.parametrize("push", ["exit 0\n", 'head -c 5 "$1" >"$2"\n'])
def test_a_push_that_brings_other_bytes_is_named(tmp_path: Path, push: str) -> None:
    box = make(tmp_path, tool(tmp_path, "run", CONTAINER), push=push)
    error = refused_put(box, tmp_path)
    assert isinstance(error, IntegrityError) and "devices.box.push" in error.hint
    assert str(error.where).startswith("devices.box.push: ")


@pytest.mark.parametrize("key", ["push", "exec"])
def test_a_tool_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    for limit in ("_SMALL_LIMIT_S", "_PUSH_LIMIT_S"):
        monkeypatch.setattr(f"edgesmith.devices.command.{limit}", 3.0)
    monkeypatch.setattr("edgesmith.devices.command._TELL_EVERY_S", 0.5)
    token = f"token-{uuid.uuid4()}"
    hanging = f'perl -e "sleep 600" {token}\n'
    run = tool(tmp_path, "run", hanging if key == "exec" else CONTAINER)
    box = make(tmp_path, run, push=hanging, root=str(tmp_path / "box/root"))
    told: list[str] = []
    box.events.subscribe(lambda event: told.append(str(getattr(event, "text", ""))))
    error = refused_put(box, tmp_path, Deadline.after(500))
    assert "took longer than" in error.what and f"devices.box.{key}: " in str(error.where)
    assert any(f"waiting for devices.box.{key}" in text for text in told)
    await_none(token)


def test_a_tool_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    box = make(tmp_path, tmp_path / "folder", root=str(tmp_path / "box/root"))
    error = refused_put(box, tmp_path)
    assert "it is no program" in error.what
    assert error.where == f"devices.box.exec: {tmp_path / 'folder'}"


def test_a_tool_that_breaks_off_is_named(tmp_path: Path) -> None:
    run = tool(tmp_path, "run", "exit 4\n")
    assert refused_put(make(tmp_path, run), tmp_path).where == f"devices.box.exec: {run}"


@pytest.mark.parametrize("words", [("sh", "-c", "{command}"), ("env", "{argv}")])
def test_a_tool_that_makes_no_folders(tmp_path: Path, words: tuple[str, ...]) -> None:
    root = tmp_path / "not there/yet"
    tools = Tools(push=("cp", "{local}", "{remote}"), exec=words)
    box = CommandTransport(device="box", root=str(root), tools=tools, events=EventStream())
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    name = f"digits/incoming/{sha256}.manifest.json"
    box.put(file, name, sha256=sha256, mode=0o644, deadline=Deadline.after(30))
    assert (root / name).read_bytes() == file.read_bytes()


def test_flash_bench_and_rollback(digits: Edgesmith) -> None:
    folder = digits.folder
    (folder / "box").mkdir()
    tool(folder, "run", CONTAINER)
    tool(folder, "push", COPY)
    file = folder / "edgesmith.toml"
    text = file.read_text().replace('["desk"]', '["box"]')
    text += '\n[devices.box]\ntarget = "host"\ntransport = "command"\n'
    text += 'exec = ["./run", "{argv}"]\npush = ["./push", "{local}", "{remote}"]\n'
    file.write_text(text)
    quick = Edgesmith(folder=folder, cache=digits.cache, environment=QUICK)
    [done] = quick.ok("flash", "--format", "json").json()["devices"]
    assert (done["self_test"], done["root"]) == ("passed", str(folder / "box/edgesmith"))
    [measured] = quick.ok("bench", "--format", "json").json()["devices"]
    assert Path(measured["file"]).is_file() and Path(measured["samples"]).is_file()
    assert [
        state["answers"]
        for state in quick.ok("devices", "--device", "box", "--format", "json").json()["devices"]
    ] == [True]
    assert quick("flash", "--rollback").code == 7
