"""Flash: what is sent, what is refused, and that a failure leaves the device alone."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from device_world import CONTENT, World, write_bundle

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.each import attempt_each, smallest_failure
from edgesmith.devices.fake import Answer
from edgesmith.devices.install import FlashOptions, flash, installed_releases, roll_back
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.registry import TRANSPORTS
from edgesmith.devices.transport import Transport
from edgesmith.errors import (
    DeviceError,
    HarnessError,
    IntegrityError,
    ModelError,
    UsageError,
)
from edgesmith.events import EventStream
from edgesmith.hashing import sha256_bytes
from edgesmith.project.settings import DeviceSettings


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    accept = SimpleNamespace(verify_bundle=lambda folder: None)
    monkeypatch.setitem(sys.modules, "edgesmith.bundle.verify", accept)
    return World(tmp_path)


def flash_it(world: World, options: FlashOptions | None = None) -> object:
    return flash(
        world.bundle, world.device, events=world.events, options=options, transport=world.transport
    )


def test_the_registry_is_this() -> None:
    assert set(TRANSPORTS) == {"local", "qemu-user", "ssh", "command"}
    allowed = DeviceSettings.model_fields["transport"].annotation
    assert set(TRANSPORTS) == set(allowed.__args__)  # type: ignore[union-attr]


def test_the_first_flash_sends_all_but_bench_files(world: World) -> None:
    done = flash(world.bundle, world.device, events=world.events, transport=world.transport)
    blobs = {f"digits/incoming/{sha256_bytes(d)}" for r, _, d in CONTENT.values() if r != "bench"}
    assert set(world.facts.sent) == blobs | {
        "digits/installer",
        f"digits/incoming/{world.bundle_id}.manifest.json",
    }
    assert world.link("current") == world.bundle_id
    assert done.bundle_id == world.bundle_id
    assert done.previous_id is None
    assert (done.sent_bytes, done.reused_bytes) == (
        sum(len(d) for r, _, d in CONTENT.values() if r != "bench"),
        0,
    )


def test_the_second_flash_sends_only_the_manifest(world: World) -> None:
    flash_it(world)
    world.facts.sent.clear()
    done = flash(world.bundle, world.device, events=world.events, transport=world.transport)
    assert world.facts.sent == [f"digits/incoming/{world.bundle_id}.manifest.json"]
    assert done.sent_bytes == 0
    assert done.reused_bytes > 0


def test_an_upgrade_and_back(world: World) -> None:
    flash_it(world)
    first = world.bundle_id
    second = write_bundle(world.bundle, version="1.0.1", sequence=2)
    done = flash(world.bundle, world.device, events=world.events, transport=world.transport)
    assert done.previous_id == first
    releases = roll_back("digits", world.device, events=world.events, transport=world.transport)
    assert [(r.id, r.current, r.previous) for r in releases] == [
        (first, True, False),
        (second, False, True),
    ]
    assert releases[0].version == "1.0.0"


def test_a_damaged_bundle_never_reaches_the_device(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise IntegrityError("changed", where="model/int8.onnx", hint="build it anew")

    module = SimpleNamespace(verify_bundle=refuse)
    monkeypatch.setitem(sys.modules, "edgesmith.bundle.verify", module)
    with pytest.raises(IntegrityError):
        flash_it(world)
    assert world.facts.calls == []
    assert not world.root.exists()


def test_no_bundle_says_how_to_build_one(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        flash(tmp_path / "none", world.device, events=world.events, transport=world.transport)
    assert "edgesmith build --target host" in caught.value.hint


@pytest.mark.parametrize("machine", ["aarch64", "armv7l", "riscv64", ""])
def test_another_architecture_is_refused_before_anything_is_sent(
    world: World, machine: str
) -> None:
    world.facts.machine = machine
    world.facts.probe = re.sub(r"shell \w+", "shell", world.facts.probe)
    with pytest.raises(DeviceError, match="is for x86_64"):
        flash_it(world)
    assert world.facts.sent == []


@pytest.mark.parametrize("shell", ["02b700", "012800", "02f300"])
def test_a_system_of_another_kind_is_refused_whatever_the_kernel_says(
    world: World, shell: str
) -> None:
    world.facts.probe = re.sub(r"shell \w+", f"shell {shell}", world.facts.probe)
    with pytest.raises(DeviceError, match=r"needed EM_X86_64, 64 bits, found .*its /bin/sh"):
        flash_it(world)
    assert world.facts.sent == []


def test_a_full_device_is_refused_before_files_are_sent(world: World) -> None:
    world.facts.free_bytes = 1 << 20
    with pytest.raises(DeviceError, match=r"too full: .* bytes to send"):
        flash_it(world)
    assert world.facts.sent == []


def test_a_failed_self_test_is_exit_code_8_and_shows_what_was_said(world: World) -> None:
    world.installer.self_test_passes = False
    with pytest.raises(HarnessError, match="sqnr 3 dB"):
        flash_it(world)
    assert world.link("current") is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (6, DeviceError),
        (7, IntegrityError),
        (8, HarnessError),
        (3, ModelError),
        (1, HarnessError),
        (-9, DeviceError),
    ],
)
def test_the_installers_exit_codes_are_ours(
    world: World, code: int, error: type[Exception]
) -> None:
    answer = Answer(returncode=code, stderr="said \x1b[31mthis\n")
    world.facts.programs["installer"] = lambda words: answer
    with pytest.raises(error, match=r"said \[31mthis"):
        flash_it(world)


def test_a_device_that_asks_for_other_files_gets_none(world: World) -> None:
    evaluation = sha256_bytes(CONTENT["bench/samples.safetensors"][2])
    world.facts.programs["installer"] = lambda words: Answer(output=evaluation + "\n")
    with pytest.raises(DeviceError, match="not in the release"):
        flash_it(world)


@pytest.mark.parametrize("output", ["../../etc/passwd\n", "abc", "\x1b[2J"])
def test_an_answer_that_is_no_hash_is_refused(world: World, output: str) -> None:
    world.facts.programs["installer"] = lambda words: Answer(output=output)
    with pytest.raises(DeviceError, match="cannot be read"):
        flash_it(world)


def test_a_device_that_claims_success_is_not_believed(world: World) -> None:
    honest = world.installer

    def lying(words: object) -> Answer:
        return Answer() if words[0] == "install" else honest(words)  # type: ignore[index,arg-type]

    world.facts.programs["installer"] = lying
    with pytest.raises(DeviceError, match="not the current one"):
        flash_it(world)


def test_options_reach_the_installer(world: World) -> None:
    done = flash(
        world.bundle,
        world.device,
        events=world.events,
        transport=world.transport,
        options=FlashOptions(self_test=False, allow_downgrade=True),
    )
    (call,) = [c for c in world.facts.calls if "install" in c]
    assert call == (
        f"{world.model}/installer",
        "install",
        str(world.model),
        world.bundle_id,
        "--no-self-test",
        "--allow-downgrade",
    )
    assert done.self_test == "skipped"


def test_rollback_of_nothing_says_flash_first(world: World) -> None:
    with pytest.raises(DeviceError) as caught:
        roll_back("digits", world.device, events=world.events, transport=world.transport)
    assert "edgesmith flash --device desk" in caught.value.hint


def test_rollback_without_an_earlier_release_speaks_of_no_downgrade(world: World) -> None:
    flash_it(world)
    with pytest.raises(IntegrityError) as caught:
        roll_back("digits", world.device, events=world.events, transport=world.transport)
    assert "there is no previous release" in caught.value.what
    assert "edgesmith flash --list" in caught.value.hint
    assert "downgrade" not in caught.value.hint


@pytest.mark.parametrize(
    ("said", "hinted"),
    [
        ("0.9.0 is older than the current 1.0.0; --allow-downgrade installs it anyway", True),
        ("model/int8.onnx differs from the manifest", False),
    ],
)
def test_only_a_downgrade_gets_the_hint_of_one(world: World, said: str, hinted: bool) -> None:
    world.installer.install_refusal = Answer(returncode=7, stderr=f"installer: {said}\n")
    with pytest.raises(IntegrityError) as caught:
        flash_it(world)
    assert said in caught.value.what
    assert ("--allow-downgrade" in caught.value.hint) == hinted
    assert ("anew" in caught.value.hint) != hinted


def test_looking_changes_nothing(world: World) -> None:
    found = installed_releases(
        "digits", world.device, events=world.events, transport=world.transport
    )
    assert found == ()
    assert not world.root.exists()


@pytest.mark.parametrize("root", ["/", "//", "/..", "/a/..", "relative", ""])
def test_a_root_that_is_no_folder_of_its_own_is_refused(root: str) -> None:
    with pytest.raises(UsageError):
        LocalTransport(device="desk", root=root, events=EventStream())


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../../b", "..", "a//b", "a/./b", "a\0b"])
def test_names_stay_below_the_root(world: World, name: str, tmp_path: Path) -> None:
    deadline = Deadline.after(5)
    file = tmp_path / "f"
    file.write_bytes(b"x")
    with pytest.raises(DeviceError):
        world.transport.put(file, name, sha256="0", mode=0o644, deadline=deadline)
    with pytest.raises(DeviceError):
        world.transport.fetch(name, file, max_bytes=1, deadline=deadline)


def local(root: Path) -> Transport:
    return LocalTransport(device="desk", root=str(root), events=EventStream())


def test_local_put_copies_and_never_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"data")
    transport = local(tmp_path / "root")
    transport.put(
        source, "a/b", sha256=sha256_bytes(b"data"), mode=0o755, deadline=Deadline.after(5)
    )
    sent = tmp_path / "root/a/b"
    assert sent.read_bytes() == b"data"
    assert sent.stat().st_mode & 0o777 == 0o755
    assert source.stat().st_nlink == 1
    assert [p.name for p in sent.parent.iterdir()] == ["b"]


def test_local_put_of_a_changed_file_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"changed")
    with pytest.raises(IntegrityError):
        local(tmp_path / "root").put(
            source, "a/b", sha256=sha256_bytes(b"data"), mode=0o644, deadline=Deadline.after(5)
        )
    assert list((tmp_path / "root/a").iterdir()) == []


def test_local_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(outside)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(DeviceError, match="leads elsewhere"):
        local(root).put(
            source, "out/f", sha256=sha256_bytes(b"x"), mode=0o644, deadline=Deadline.after(5)
        )
    (root / "report.json").symlink_to("/etc/hostname")
    with pytest.raises(DeviceError, match="leads elsewhere"):
        local(root).fetch(
            "report.json", tmp_path / "r", max_bytes=10**6, deadline=Deadline.after(5)
        )
    assert list(outside.iterdir()) == []


def test_local_refusals_are_device_errors(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file stands where the root should be")
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(DeviceError) as caught:
        local(tmp_path / "root").put(
            source, "a", sha256=sha256_bytes(b"x"), mode=0o644, deadline=Deadline.after(5)
        )
    assert caught.value.hint


def test_local_fetch_refuses_what_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/r").write_bytes(b"12345")
    with pytest.raises(DeviceError, match="at most 4"):
        local(tmp_path / "root").fetch("r", tmp_path / "x", max_bytes=4, deadline=Deadline.after(5))


def test_the_local_lock_is_for_one(tmp_path: Path) -> None:
    with (
        local(tmp_path).exclusive("bench.lock"),
        pytest.raises(DeviceError, match="in use by another"),
        local(tmp_path).exclusive("bench.lock"),
    ):
        raise AssertionError("two held the lock")
    with local(tmp_path).exclusive("bench.lock"):
        pass


def test_a_deadline_that_has_passed_names_what_was_done() -> None:
    deadline = Deadline(at_s=time.monotonic() - 1, allowed_s=30)
    with pytest.raises(DeviceError, match=r"30 s.*sending x"):
        deadline.remaining_s("sending x")


def test_one_failing_device_hides_no_other() -> None:
    def act(name: str) -> int:
        if name == "b":
            raise DeviceError("unreachable", hint="plug it in")
        return 1

    attempts = attempt_each(["a", "b", "c"], act)
    assert [(a.device, a.value) for a in attempts] == [("a", 1), ("b", None), ("c", 1)]
    assert isinstance(attempts[1].error, DeviceError)
    assert smallest_failure([0, 8, 6, 0]) == 6
    assert smallest_failure([0]) == 0


def test_flash_changes_nothing_on_a_device_that_cannot_run_the_bundle(world: World) -> None:
    world.facts.probe = world.facts.probe.replace("GLIBC_2.36", "GLIBC_2.17")
    with pytest.raises(DeviceError, match=r"GLIBC: needed 2\.28, found 2\.17"):
        flash(world.bundle, world.device, events=world.events, transport=world.transport)
    assert world.facts.sent == []
