"""The pure parts of the SSH and command transports: command lines, quoting, keys, settings."""

from __future__ import annotations

import base64
import io
import itertools
import struct
from pathlib import Path

import pytest

from edgesmith.devices.command import Tools
from edgesmith.devices.remote.download import Download
from edgesmith.devices.remote.script import (
    BOOTSTRAP,
    Answer,
    between_marks,
    make_script,
    parse_answer,
    returncode,
)
from edgesmith.devices.remote.upload import append_stream, part_of, tar_stream
from edgesmith.devices.ssh_errors import connection_error, no_shell
from edgesmith.devices.ssh_options import (
    SshAddress,
    Timing,
    asking_argv,
    master_argv,
    session_argv,
)
from edgesmith.devices.transport import FileToSend
from edgesmith.errors import DeviceError, IntegrityError, UsageError
from edgesmith.hashing import sha256_bytes
from edgesmith.host_keys import keys_in, parse_host_key
from edgesmith.project.load import load_project


def key_line(kind: str = "ssh-ed25519", fill: bytes = b"k") -> str:
    name = kind.encode()
    blob = struct.pack(">I", len(name)) + name + struct.pack(">I", 32) + fill * 32
    return f"{kind} {base64.b64encode(blob).decode()}"


KEY = parse_host_key(key_line())


def options(argv: tuple[str, ...]) -> dict[str, str]:
    """What stands behind each -o; the first counts, as for ssh."""
    found: dict[str, str] = {}
    for flag, value in itertools.pairwise(argv):
        if flag == "-o":
            name, _, setting = value.partition("=")
            found.setdefault(name, setting)
    return found


def test_the_master_asks_nothing_and_trusts_nobody_new(tmp_path: Path) -> None:
    to = SshAddress(address="pi@192.0.2.10", port=2222)
    argv = master_argv(to, Path("/run/a b%c"), Timing(), BOOTSTRAP, "pi4")
    assert argv[0] == "ssh"
    assert argv[-5:] == ("-p", "2222", "--", "pi@192.0.2.10", BOOTSTRAP)
    given = options(argv)
    assert (given["BatchMode"], given["StrictHostKeyChecking"]) == ("yes", "yes")
    assert given["ControlPath"] == '"/run/a b%%c/s"'
    assert given["ControlPersist"] == "no" and given["RemoteCommand"] == "none"
    assert "UserKnownHostsFile" not in given


def test_a_pinned_key_is_the_only_source_of_keys() -> None:
    to = SshAddress(address="pi", host_key=KEY)
    given = options(master_argv(to, Path("/run/x"), Timing(), BOOTSTRAP, "pi4"))
    assert given["UserKnownHostsFile"] == '"/run/x/k"'
    assert given["GlobalKnownHostsFile"] == "/dev/null"
    assert (given["KnownHostsCommand"], given["HostKeyAlias"]) == ("none", "edgesmith-pi4")


def test_a_session_without_its_master_goes_nowhere() -> None:
    argv = session_argv(SshAddress(address="pi"), Path("/run/x"), BOOTSTRAP)
    assert argv[1:3] == ("-F", "none") and options(argv)["ProxyCommand"] == "false"


def test_asking_for_a_key_logs_nobody_in(tmp_path: Path) -> None:
    given = options(asking_argv(SshAddress(address="pi"), tmp_path / "k", Timing(), "pi4"))
    assert (given["PreferredAuthentications"], given["PubkeyAuthentication"]) == ("none", "no")


@pytest.mark.parametrize("more", ["", " pi@raspberry"])
def test_a_host_key_is_read(more: str) -> None:
    key = parse_host_key(key_line() + more)
    assert key.line() == key_line() and key.fingerprint.startswith("SHA256:")
    assert keys_in(f"edgesmith-pi4 {key_line()}\n") == (key,)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 not base64",
        key_line().replace("ssh-ed25519", "ssh-rsa"),
        key_line() + "\nother",
        f"edgesmith-pi4 {key_line()}",
    ],
)
def test_what_is_no_host_key(line: str) -> None:
    with pytest.raises(ValueError, match="ssh-ed25519 AAAA"):
        parse_host_key(line)


@pytest.mark.parametrize(
    ("said", "finding", "hint"),
    [
        ("pi@h: Permission denied (publickey).", "refused the login", "ssh-copy-id"),
        ("ssh: Could not resolve hostname pi", "not known", "ssh config"),
        ("ssh: connect to host h port 22: Connection refused", "refused the connection", "sshd"),
        ("ssh: connect to host h port 22: Connection timed out", "does not answer", "it is on"),
        ("Timeout, server h not responding.", "no longer answers", "continues where it stopped"),
        ("client_loop: send disconnect: Broken pipe", "was lost", "continues where it stopped"),
        ("\x1b[31m", "was lost", "again"),
        (
            "kex_exchange_identification: banner line contains invalid characters",
            "no SSH server answers",
            "devices.pi4.port or devices.pi4.address",
        ),
        ("kex_exchange_identification: read: Connection reset by peer", "before it said", "port"),
    ],
)
def test_what_ssh_says_gets_a_remedy(said: str, finding: str, hint: str) -> None:
    error = connection_error(said, "pi4", SshAddress(address="pi"), "connecting")
    assert finding in error.what and hint in error.hint
    assert "\x1b" not in error.render() and "devices.pi4.address" in str(error.where)


def test_unknown_and_changed_keys_are_told_apart() -> None:
    to = SshAddress(address="pi")
    unknown = connection_error("Host key verification failed.", "pi4", to, "connecting", (KEY,))
    assert KEY.fingerprint in unknown.what and f'host_key = "{KEY.line()}"' in unknown.hint
    changed = connection_error(
        "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending ECDSA key in /a b/known:3\n"
        "Host key for [pi]:2222 has changed and you have requested strict checking.\n",
        "pi4",
        to,
        "connecting",
        (KEY,),
    )
    assert "has changed" in changed.what and "/a b/known:3" in str(changed.where)
    assert "ssh-keygen -R '[pi]:2222' -f '/a b/known'" in changed.hint
    pinned = SshAddress(address="pi", host_key=parse_host_key(key_line(fill=b"o")))
    other = connection_error("Host key verification failed.", "pi4", pinned, "connecting", (KEY,))
    assert "has changed" in other.what and "devices.pi4.host_key" in str(other.where)


def test_a_login_without_a_shell() -> None:
    error = no_shell("you \x1b[1mmay not\n", "", "pi4", SshAddress(address="pi"))
    assert "the login of device 'pi4' gives no POSIX shell" in error.what
    assert "may not" in error.what and "\x1b" not in error.what and "ForceCommand" in error.hint


def test_a_script_goes_as_one_line_of_ascii() -> None:
    line = make_script("run", "it's", "a\nb\\n", "é\udc81", "$(id)").line()
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert b"'it'\"'\"'s'" in line and b"\\0303\\0251\\0201" in line
    # Not what a comment of the script says, but the script.
    assert b"POSIX sh" not in line


def test_what_a_login_prints_is_no_answer() -> None:
    output = "Welcome\nM begin\nM end 7\nreal\n\nM end 3\n"
    answer = parse_answer(output, "motd\nM begin\nsaid\n", "M")
    assert answer == Answer(output="M end 7\nreal\n", stderr="said\n", status=3)
    assert parse_answer("Welcome\nM begin\nhalf", "", "M").status is None
    assert parse_answer("M begin\nM begin\nx\n\nM end 0\n", "", "M").output == "x\n"


def test_lines_of_a_program_are_heard_without_ours() -> None:
    heard: list[str] = []
    listen = between_marks("M", heard.append)
    for line in ("Welcome", "M begin", "one", "M of mine", "M end 0", "after"):
        listen(line)
    assert heard == ["one"]


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3, 3), (137, -9), (143, -15), (255, 255)])
def test_a_shells_status_becomes_a_return_code(status: int, code: int) -> None:
    assert returncode(status) == code


def file_of(folder: Path, data: bytes, name: str = "a/b") -> FileToSend:
    local = folder / "local"
    local.write_bytes(data)
    return FileToSend(local=local, name=name, sha256=sha256_bytes(data), mode=0o755)


def test_a_part_is_named_after_its_content(tmp_path: Path) -> None:
    file = file_of(tmp_path, b"data")
    assert part_of(file).name == f"a/b.{file.sha256[:16]}.part"
    assert part_of(file).words() == (part_of(file).name, "a/b", "4", file.sha256, "755")
    named = file_of(tmp_path, b"data", f"incoming/{file.sha256}")
    assert part_of(named).name == f"incoming/{file.sha256}.part"


@pytest.mark.parametrize("offset", [0, 1, 131_072, 300_000, 400_000])
def test_an_upload_goes_on_from_any_byte(tmp_path: Path, offset: int) -> None:
    data = bytes(range(256)) * 1563
    part = part_of(file_of(tmp_path, data))
    assert b"".join(append_stream(part, offset)) == data[offset:]


def test_an_archive_of_parts(tmp_path: Path) -> None:
    import tarfile

    part = part_of(file_of(tmp_path, b"x" * 1000, "f" * 120))
    told: list[str] = []
    archive = b"".join(tar_stream([part], lambda one: told.append(one.name)))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        [member] = opened.getmembers()
        assert (member.name, member.size, told) == (part.name, 1000, [part.name])


@pytest.mark.parametrize("now", [b"other", b"longer than it was", b""])
def test_a_file_that_changes_on_the_way_never_goes_whole(tmp_path: Path, now: bytes) -> None:
    part = part_of(file_of(tmp_path, b"first"))
    part.file.local.write_bytes(now)
    sent = b""
    with pytest.raises(IntegrityError, match="changed while it was sent"):
        for chunk in append_stream(part, 0):
            sent += chunk
    assert len(sent) < part.bytes


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("hexadecimal", [False, True])
def test_a_download_in_pieces(step: int, hexadecimal: bool) -> None:
    data = b"\nM end 0\n\x00\xff" * 5
    printed = data
    if hexadecimal:
        rows = [data[i : i + 16] for i in range(0, len(data), 16)]
        printed = b"".join(b"".join(b" %02x" % b for b in row) + b"\r\n" for row in rows)
    stream = b"Welcome\nM begin %d\n" % len(data) + printed + b"\nM end 0\n"
    back = io.BytesIO()
    download = Download(max_bytes=1000, to_file=back)
    take = download.take_for("M", hexadecimal=hexadecimal)
    for start in range(0, len(stream), step):
        take(stream[start : start + step])
    download.require_complete(Answer(output="", stderr="", status=None), name="x", where="x")
    assert back.getvalue() == data and download.sha256() == sha256_bytes(data)


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (b"", "0 bytes came in"),
        (b"M begin 5\nabc", "3 bytes came in"),
        (b"M begin \n\nM end 1\n", "no such file"),
        (b"M begin 2000\n", "at most 1000"),
    ],
)
def test_a_download_that_is_not_whole(stream: bytes, says: str) -> None:
    download = Download(max_bytes=1000)
    download.take_for("M")(stream)
    answer = Answer(output="", stderr="x: no such file", status=None)
    with pytest.raises(DeviceError, match=says):
        download.require_complete(answer, name="x", where="x")


WORDS = ["sh", "-c", "echo 'a b'", "x"]
QUOTED = """sh -c 'echo '"'"'a b'"'"'' x"""


@pytest.mark.parametrize(
    ("given", "argv"),
    [
        (("docker", "exec", "box"), ("docker", "exec", "box", *WORDS)),
        (("docker", "exec", "box", "{argv}", "--end"), ("docker", "exec", "box", *WORDS, "--end")),
        (("adb", "shell", "{command}"), ("adb", "shell", QUOTED)),
        (("serial", "--run={command}"), ("serial", f"--run={QUOTED}")),
    ],
)
def test_how_exec_is_filled_in(given: tuple[str, ...], argv: tuple[str, ...]) -> None:
    assert Tools(push=(), exec=given).exec_argv(WORDS) == argv


def test_a_value_that_looks_like_a_placeholder_is_none() -> None:
    tools = Tools(push=("cp", "{local}", "box:{remote}"), exec=())
    argv = tools.push_argv(Path("/a/{remote}"), "/r/{local}")
    assert argv == ("cp", "/a/{remote}", "box:/r/{local}")


def device(text: str) -> str:
    return f'[devices.board]\ntarget = "host"\n{text}\n'


def boxed(
    more: str = "", *, exec: str = '"x", "{argv}"', push: str = '"cp", "{local}", "{remote}"'
) -> str:
    return f'transport = "command"\nexec = [{exec}]\npush = [{push}]\n{more}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('transport = "ssh"', "devices.board.address: missing; transport = 'ssh' needs it"),
        ('transport = "local"\naddress = "pi"', "transport = 'local' does not take it"),
        ('transport = "ssh"\naddress = "pi"\nexec = ["x"]', "transport = 'command' does"),
        ('transport = "command"\nexec = ["x"]', "devices.board.push: missing"),
        ('transport = "command"\nexec = ["x"]\npush = ["cp", "{local}"]', "{remote} in it"),
        (boxed(exec='"x", "{comand}"'), "exec: found {comand}, which is no placeholder of exec"),
        (boxed(exec='"x", "{comand}"'), "did you mean '{command}'?"),
        (boxed(exec='"x", "{foo}"'), "known here: {argv}, {command}"),
        (boxed(exec='"x", "{local}"'), "found {local}, which is no placeholder of exec"),
        (boxed(push='"cp", "{locl}", "{remote}"'), "push: found {locl}"),
        (boxed(push='"cp", "{local}", "{Remote}"'), "did you mean '{remote}'?"),
        (boxed('fetch = ["cp", "{remote}", "{local}", "{x}"]'), "fetch: found {x}"),
        (boxed(exec='"x", "--run={argv}"'), "{argv} must be a word of its own"),
        (boxed(exec='"x", "{argv}", "{command}"'), "expected one of the two"),
        ('transport = "ssh"\naddress = "-oProxyCommand=x"', "devices.board.address"),
        ('transport = "ssh"\naddress = "pi"\nhost_key = "SHA256:x"', "a public host key"),
        ('transport = "ssh"\naddress = "pi"\nport = 0', "devices.board.port"),
        ('transport = "ssh"\naddress = "pi"\nroot = "//."', "never '/'"),
        ('transport = "ssh"\naddress = "pi"\nroot = "~/x"', "a path without '~'"),
        ('transport = "ssh"\naddress = "pi"\nroot = "a\\nb"', "control characters"),
        ('transport = "ssh"\naddress = "pi"\nroot = "-rf"', "does not begin with '-'"),
        ('transport = "ssh"\naddress = "pi"\ncpu = "cortex-a53"', "transport = 'qemu-user' does"),
        ('transport = "ssh"\naddress = "pi@h:2222"', "port = NUMBER"),
        ('transport = "ssh"\naddress = ""', "a host or user@host"),
    ],
)
def test_fields_that_do_not_fit_the_transport(project_file: Path, text: str, says: str) -> None:
    project_file.write_text(project_file.read_text() + device(text))
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    assert says in caught.value.what


@pytest.mark.parametrize(
    "words",
    [
        '"sh", "-c", "cd ${HOME}; {command}"',
        '"docker", "exec", "{{.Name}}", "{argv}"',
        '"sh", "-c", "awk \'{ print }\'; exec $@", "sh", "{argv}"',
    ],
)
def test_braces_that_are_no_placeholders(project_file: Path, words: str) -> None:
    project_file.write_text(project_file.read_text() + device(boxed(exec=words)))
    assert load_project(project_file, {}).device("board").reach.exec


def test_how_a_remote_device_is_reached(project_file: Path) -> None:
    text = 'transport = "ssh"\naddress = "pi@h"\nport = 2222\n' + f'host_key = "{key_line()}"'
    tools = 'transport = "command"\nexec = ["./tools/run", "{argv}"]\n'
    tools += 'push = ["docker", "cp", "{local}", "box:{remote}"]\nroot = "/srv/x"'
    board = device(text) + device(tools).replace("board", "box")
    project_file.write_text(project_file.read_text() + board)
    project = load_project(project_file, {})
    pi, box = project.device("board"), project.device("box")
    assert (pi.root, pi.reach.address, pi.reach.port) == ("edgesmith", "pi@h", 2222)
    assert box.root == "/srv/x" and box.reach.push[0] == "docker"
    # A tool of the project is the same wherever the user stands.
    assert box.reach.exec[0] == str(project_file.parent / "tools/run")


@pytest.mark.parametrize(
    "address", ["pi", "pi@h.local", "::1", "pi@fe80::1%eth0", "192.0.2.10", "a_b"]
)
def test_addresses_of_every_kind(project_file: Path, project_text: str, address: str) -> None:
    device = f'[devices.board]\ntarget = "host"\ntransport = "ssh"\naddress = "{address}"\n'
    project_file.write_text(project_text + device)
    assert load_project(project_file, {}).device("board").reach.address == address
