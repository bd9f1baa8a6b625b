"""What doctor says of NVIDIA's products on a device, from what the device's script answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_answers import WHOLE, checks, told, without

from edgesmith.devices.fake import FakeTransport
from edgesmith.devices.gpu import parse
from edgesmith.devices.registry import TRANSPORTS
from edgesmith.doctor.device import check_device
from edgesmith.errors import DeviceError
from edgesmith.events import EventStream
from edgesmith.project.load import load_project


def test_a_whole_machine(project_file: Path) -> None:
    found = checks(project_file)
    assert {name: check.found for name, check in found.items()} == {
        "NVIDIA driver": "580.65.06, NVIDIA H200, needed >=580",
        "CUDA": "13.0.96, needed >=13,<14",
        "cuDNN": "9.13.0, needed >=9,<10",
        "TensorRT": "10.13.3, needed >=10,<11",
    }
    for check in found.values():
        assert (check.passed, check.needed, check.part) == (True, True, "device desk")
        assert check.exit_code == DeviceError.exit_code


def test_targets_without_drivers_are_not_asked(project_file: Path) -> None:
    assert checks(project_file, "nonsense", platform="linux-x86_64") == {}


def test_a_missing_product_is_named_with_its_packages_and_what_runs_instead(
    project_file: Path,
) -> None:
    names = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
    found = checks(project_file, without(*names))
    assert [name for name, check in found.items() if not check.passed] == ["TensorRT"]
    check = found["TensorRT"]
    assert check.found == f"{', '.join(names)} not found; without it models run on cuda or cpu"
    assert check.remedy == (
        "install TensorRT >=10,<11: on Debian and Ubuntu NVIDIA's packages libnvinfer10,"
        " libnvinfer-plugin10 and libnvonnxparsers10, those for CUDA 13"
    )


@pytest.mark.parametrize("answer", ["driver \n", "driver 580.65.06 (of a joker)\n", ""])
def test_no_driver(project_file: Path, answer: str) -> None:
    answer = (answer or "driver \n") + told("searched", "libcuda.so.1", "/usr/local/cuda/compat")
    check = checks(project_file, answer)["NVIDIA driver"]
    assert not check.passed and "no driver is loaded; without it models run on cpu" in check.found
    assert "cuda-drivers-580" in check.remedy and "--gpus all" in check.remedy


def test_a_driver_that_is_too_old(project_file: Path) -> None:
    check = checks(project_file, WHOLE.replace("580.65.06", "570.124.06"))["NVIDIA driver"]
    assert not check.passed
    assert check.found.startswith("570.124.06, NVIDIA H200, needed >=580; without it")
    assert check.remedy.startswith("install NVIDIA driver >=580")


def test_a_driver_that_was_updated_and_not_loaded_again(project_file: Path) -> None:
    newer = WHOLE.replace("so.580.65.06", "so.580.82.07")
    check = checks(project_file, newer)["NVIDIA driver"]
    assert not check.passed and "its libraries are already those of 580.82.07" in check.found
    assert check.remedy == "restart the device"


def test_compatibility_libraries_stand_for_a_newer_driver(project_file: Path) -> None:
    line = told("searched", "libcuda.so.1")
    compat = told("searched", "libcuda.so.1", "/usr/local/cuda-13.0/compat")
    answer = WHOLE.replace(line, compat).replace("driver 580.65.06", "driver 535.161.08")
    check = checks(project_file, answer)["NVIDIA driver"]
    assert check.passed and check.found.startswith("580.65.06")


def test_several_gpus_are_counted(project_file: Path) -> None:
    answer = WHOLE.replace("gpu NVIDIA H200", "gpu NVIDIA H200\ngpu NVIDIA H200\ngpu NVIDIA T4")
    assert ", 2 x NVIDIA H200, NVIDIA T4," in checks(project_file, answer)["NVIDIA driver"].found


@pytest.mark.parametrize(
    ("place", "identity", "said", "remedy"),
    [
        ("outside", "023e00", "in /opt/x, where the loader does not look",
         "add /opt/x to a file in /etc/ld.so.conf.d there and run ldconfig as root"),
        ("uncached", "023e00", "in /opt/x, which ldconfig has not seen",
         "run ldconfig there, as root"),
        ("foreign", "02b700", "in /opt/x is for EM_AARCH64, 64 bits", "install cuDNN >=9,<10"),
        ("foreign", "-", "in /opt/x is no library, but empty or a broken link", "install cuDNN"),
        ("other", "023e00", "not found, only other versions in /opt/x", "install cuDNN >=9,<10"),
    ],
)  # fmt: skip
def test_a_library_that_the_loader_would_not_take(
    project_file: Path, place: str, identity: str, said: str, remedy: str
) -> None:
    right = told("searched", "libcudnn.so.9")
    spoilt = told(place, "libcudnn.so.9", "/opt/x").replace("023e00", identity)
    check = checks(project_file, WHOLE.replace(right, spoilt))["cuDNN"]
    assert not check.passed and f"libcudnn.so.9 {said}" in check.found
    assert check.remedy.startswith(remedy) and "LD_LIBRARY_PATH" not in check.remedy


def test_a_login_has_a_library_path(project_file: Path) -> None:
    answer = WHOLE.replace(
        told("searched", "libcudnn.so.9"), told("outside", "libcudnn.so.9", "/opt/x")
    )
    text = project_file.read_text()
    ssh = 'transport = "ssh"\naddress = "box"'
    project_file.write_text(text.replace('transport = "local"', ssh))
    assert checks(project_file, answer)["cuDNN"].remedy.endswith(
        ", or to LD_LIBRARY_PATH of its login"
    )


def test_cuda_of_another_release(project_file: Path) -> None:
    folder = "/usr/local/cuda-12.4/lib64"
    names = ("libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13")
    others = [f"other {name} {name[:-2]}12.4.127 023e00 {folder}/{name[:-2]}12" for name in names]
    answer = "\n".join([*without(*names).splitlines()[: -len(names)], *others])
    check = checks(project_file, answer)["CUDA"]
    assert not check.passed
    assert check.found == (
        "12.4.127, needed >=13,<14;"
        f" {', '.join(names)} not found, only other versions in {folder};"
        " without it models run on cpu"
    )
    assert "cuda-libraries-13-0" in check.remedy


def test_jetsons_are_told_of_jetpack(project_file: Path) -> None:
    found = checks(project_file, "driver 540.4.0\n", platform="linux-aarch64-cuda")
    assert list(found) == ["NVIDIA driver", "CUDA", "cuDNN"]
    assert all(
        "on a Jetson JetPack 7 (nvidia-jetpack), on Debian" in one.remedy for one in found.values()
    )
    assert "libcufft.so.12, libcurand.so.10 not found" in found["CUDA"].found


@pytest.mark.parametrize(
    "answer",
    ["", "gpu x\n", "Welcome!\ndriver 580.65.06\n", "driver 580\nsearched libcudnn.so.9\n"],
)
def test_an_answer_that_is_none(project_file: Path, answer: str) -> None:
    (check,) = checks(project_file, answer).values()
    assert not check.passed and "cannot be read" in check.found
    assert check.exit_code == DeviceError.exit_code


def test_hostile_answers_are_made_harmless(project_file: Path) -> None:
    answer = (
        f"driver {'9' * 5000}\ngpu \x1b[2J\x1b]0;owned\x07H200\u202e\n"
        f"other libcudart.so.13 libcudart.so.{'9' * 5000} 023e00 /\x1b[31m/x\n"
        "searched libcudnn.so.9 libcudnn.so.9.٣ zz /\u2028x\n"
    )
    found = checks(project_file, answer)
    for check in found.values():
        assert (check.found + check.remedy).isprintable()
        assert len(check.found) < 1000
    assert not any(check.passed for check in found.values())
    facts = parse(["driver 580.65.06", "gpu \x1b[1mX"], "desk")
    assert facts.gpus == ("[1mX",)


def test_a_device_of_another_kind_is_not_asked(
    project_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that the target is not for every library would be of the wrong kind."""
    text = project_file.read_text().replace("linux-x86_64", "linux-x86_64-cuda")
    project_file.write_text(text)
    project = load_project(project_file)
    transport = FakeTransport(device="desk", root="/nowhere", events=EventStream())
    monkeypatch.setitem(TRANSPORTS, "local", lambda device, events: transport)

    def names() -> list[str]:
        found = check_device(project.device("desk"), project.target("host"), EventStream())
        return [check.name for check in found]

    products = ["NVIDIA driver", "CUDA", "cuDNN", "TensorRT"]
    assert names() == ["answers", "system", *products, "root"]
    transport.facts.probe = transport.facts.probe.replace("023e00", "02b700")
    assert names() == ["answers", "system", "root"]
