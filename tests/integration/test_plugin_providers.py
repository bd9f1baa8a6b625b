"""Execution providers in libraries of their own: in bundles, from outside, and what is wrong."""

from __future__ import annotations

import os
import platform as host
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from bundled_harness import Said, bench, manifest_of, run_in
from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.downloads import fetch_headers
from edgesmith.events import EventStream
from edgesmith.hashing import sha256_file
from edgesmith.report.plain import Style
from edgesmith.report.text import render_report
from harness_files import METADATA
from needed_libraries import unmet
from workbench import ROOT, Edgesmith, copy_digits, edit_project

SOURCES = ROOT / "runtime_cpp" / "tests" / "plugin"
LIBRARIES = {
    "libsample_provider.so": ("factory.cpp", "provider.cpp", "kernel.cpp", "options.cpp"),
    "libdeviceless_provider.so": ("deviceless_provider.cpp",),
    "libno_provider.so": ("no_provider.cpp",),
}
HERE, ARM = "x86_64-linux-gnu.2.28", "aarch64-linux-gnu.2.28"
SAMPLE, CPU = "SampleExecutionProvider", "CPUExecutionProvider"
TARGET = """
[plugins.sample]
library = "engines/libsample_provider.so"
licenses = ["engines/LICENSE"]
device = { sample_device = "one" }
options = { operators = "Add" }

[targets.plugged]
platform = "linux-x86_64"
provider = "sample"
providers = { sample = { operators = "Relu" } }
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """The folder with the tests' own providers, a library for another machine, and a text."""
    folder = tmp_path_factory.mktemp("plugins")
    headers = fetch_headers(cache=session_cache, events=EventStream())
    for name, sources in LIBRARIES.items():
        compile_plugin(folder / name, sources, HERE, headers)
    compile_plugin(folder / "libarm.so", LIBRARIES["libno_provider.so"], ARM, headers)
    whole = (folder / "libsample_provider.so").read_bytes()
    (folder / "half.so").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(folder / "pipe.so")
    (folder / "words.so").write_text("not a library at all, but long enough to be one\n")
    return folder


def compile_plugin(path: Path, sources: tuple[str, ...], triple: str, headers: Path) -> None:
    argv = [
        sys.executable, "-m", "ziglang", "c++", "-target", triple, "-std=c++17", "-O1", "-s",
        "-shared", "-fPIC", "-fvisibility=hidden", "-isystem", headers, "-o", path,
        *(SOURCES / source for source in sources),
    ]  # fmt: skip
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, built: Edgesmith, libraries: Path
) -> Edgesmith:
    """The digits project with a target that runs FP32 by the sample provider."""
    folder = copy_digits(tmp_path_factory.mktemp("plugged"))
    edit_project(folder, 'precision = "int8"', 'precision = "fp32"')
    edit_project(folder, 'variants = ["fp32", "int8"]\n', "")
    (folder / "engines").mkdir()
    shutil.copy(libraries / "libsample_provider.so", folder / "engines")
    (folder / "engines" / "LICENSE").write_text("as you like")
    file = folder / "edgesmith.toml"
    file.write_text(file.read_text() + TARGET)
    return Edgesmith(folder=folder, cache=built.cache)


@pytest.fixture(scope="module")
def plugged(project: Edgesmith) -> Path:
    """Its bundle; tests must not change it."""
    project.ok("build", "--target", "plugged")
    return project.folder / "build" / "digits" / "plugged" / "bundle"


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The words that name a model of a MatMul, a Relu, an Add and a Sigmoid, and its samples."""
    folder = tmp_path_factory.mktemp("loose")
    node = helper.make_node
    weight = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            node("MatMul", ["x", "w"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Add", ["b", "a"], ["c"]),
            node("Sigmoid", ["c"], ["y"]),
        ],
        "g",
        [tensor("x", TensorProto.FLOAT, [1, 3])],
        [tensor("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "m.onnx")
    inputs = np.random.default_rng(1).normal(size=(4, 1, 3)).astype(np.float32)
    save_file({"inputs/x": inputs}, folder / "s.safetensors", {**METADATA, "count": "4"})
    return ("--model", str(folder / "m.onnx"), "--samples", str(folder / "s.safetensors"))


@pytest.fixture
def by_sample(plugged: Path, libraries: Path, loose: tuple[str, ...]) -> Callable[..., Said]:
    """Measures the loose model by the sample provider, or by another library."""

    def measure(*words: str, library: str = "libsample_provider.so") -> Said:
        named = ("--provider", "sample", "--provider-library", str(libraries / library))
        return bench(plugged, *loose, *named, *words)

    return measure


def test_the_bundle_holds_the_plugin_and_says_how_it_is_used(
    project: Edgesmith, plugged: Path, libraries: Path
) -> None:
    content = verify_bundle(plugged).content
    path = "lib/plugins/sample/libsample_provider.so"
    assert content["providers"]["sample"] == {
        "options": {"operators": "Relu"},
        "library": path,
        "device": {"sample_device": "one"},
        "graph_optimization_level": "basic",
    }
    roles = {file["path"]: file["role"] for file in content["files"]}
    assert (roles[path], roles["licenses/plugins/sample/LICENSE"]) == ("runtime", "licence")
    assert (plugged / path).read_bytes() == (libraries / "libsample_provider.so").read_bytes()
    assert unmet(plugged) == []
    assert [v["provider"] for v in content["variants"]] == ["sample"]
    assert "Nothing to do" in project.ok("build", "--target", "plugged").out


def test_a_missing_file_is_told_before_anything_is_made(built: Edgesmith, tmp_path: Path) -> None:
    folder = copy_digits(tmp_path)
    file = folder / "edgesmith.toml"
    file.write_text(file.read_text() + TARGET)
    done = Edgesmith(folder=folder, cache=built.cache)("build", "--target", "plugged")
    assert done.code == 2
    assert "there is no such file" in done.err and "plugins.sample.library" in done.err
    assert [path.name for path in (folder / "build" / "digits").iterdir()] == [".lock"]


def test_the_harness_and_the_program_use_it(plugged: Path, tmp_path: Path) -> None:
    by_plugin = tmp_path / "sample.safetensors"
    said = bench(plugged, "--outputs", by_plugin)
    assert (said.code, said.lines) == (0, [])
    effective = said.run["effective"]
    assert (effective["provider"], effective["fallbacks"]) == ("sample", [])
    assert effective["provider_options"] == {"operators": "Relu"}
    assert "unverified_library" not in effective
    assert effective["placement"][SAMPLE] > 0
    assert set(effective["elsewhere"]) == {CPU}
    assert effective["elsewhere"][CPU]["Conv"] > 0 and "Relu" not in effective["elsewhere"][CPU]
    by_cpu = tmp_path / "cpu.safetensors"
    assert bench(plugged, "--provider", "cpu", "--outputs", by_cpu).code == 0
    (found,), (wanted,) = load_file(by_plugin).values(), load_file(by_cpu).values()
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert (run_in(plugged, "harness", "verify").lines) == []
    required = run_in(plugged, "harness", "verify", "--require-provider")
    assert required.code == 8
    assert "does not run all nodes: " in required.err and f"Conv on {CPU}" in required.err
    app = run_in(plugged, "digits-app", "--json")
    assert (app.code, app.lines) == (0, [])


def test_a_changed_library_is_not_loaded(plugged: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(plugged, bundle)
    with (bundle / manifest_of(bundle)["providers"]["sample"]["library"]).open("ab") as file:
        file.write(b"\0")
    said = bench(bundle)
    assert said.code == 7
    assert "libsample_provider.so is not the file that the manifest lists" in said.err
    verified = run_in(bundle, "harness", "verify")
    assert verified.code == 7 and "libsample_provider.so" in verified.err
    # What does not use it does not mind.
    assert bench(bundle, "--provider", "cpu").code == 0


def test_placement_counts_the_nodes_of_each_provider(by_sample: Callable[..., Said]) -> None:
    said = by_sample()
    assert (said.code, said.lines) == (0, [])
    effective = said.run["effective"]
    assert effective["placement"] == {SAMPLE: 2, CPU: 2}
    assert effective["elsewhere"] == {CPU: {"MatMul": 1, "Sigmoid": 1}}
    required = by_sample("--require-provider")
    assert required.code == 8
    reason = f"does not run all nodes: 1 MatMul on {CPU}, 1 Sigmoid on {CPU}"
    assert reason in required.run["error"]["message"]


def test_a_library_from_outside_stands_in_the_report(by_sample: Callable[..., Said]) -> None:
    said = by_sample()
    assert said.run["effective"]["unverified_library"] == "libsample_provider.so"
    assert "libsample_provider.so did not come with the bundle" in " ".join(
        render_report(said.report, Style()).split()
    )


def test_options_reach_it(by_sample: Callable[..., Said]) -> None:
    effective = by_sample("--provider-option", "operators=Relu").run["effective"]
    assert effective["placement"] == {SAMPLE: 1, CPU: 3}
    assert effective["elsewhere"][CPU] == {"Add": 1, "MatMul": 1, "Sigmoid": 1}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("operator=Relu", f"{SAMPLE} has no option 'operator'; it has: fail, operators"),
        ("operators=Conv", f"{SAMPLE} has no operator 'Conv'; it has: Add, Relu"),
    ],
)
def test_a_wrong_option_is_a_mistake(
    by_sample: Callable[..., Said], option: str, says: str
) -> None:
    for words in ((), ("--require-provider",)):
        said = by_sample("--provider-option", option, *words)
        assert (said.code, said.lines) == (2, [f"harness: failed: provider 'sample': {says}"])


def test_a_failure_to_load_is_told(by_sample: Callable[..., Said]) -> None:
    reason = f"{SAMPLE} fails to load, as its option fail says"
    said = by_sample("--provider-option", "fail=load")
    assert said.code == 0
    words = f"harness: provider sample is not used: {reason}; cpu takes its place"
    assert said.lines == [words]
    assert said.run["effective"]["fallbacks"] == [{"provider": "sample", "reason": reason}]
    assert set(said.run["effective"]["placement"]) == {CPU}
    required = by_sample("--provider-option", "fail=load", "--require-provider")
    words = f"harness: failed: provider 'sample' is required: {reason}"
    assert (required.code, required.lines) == (8, [words])


def test_a_failure_to_run_is_told_and_never_green(by_sample: Callable[..., Said]) -> None:
    """In the middle of a measurement there is no other provider to fall back to."""
    said = by_sample("--provider-option", "fail=run")
    assert said.code == 8
    assert said.run["verdict"] == "failed"
    message = said.run["error"]["message"]
    assert "inference by provider 'sample' failed: " in message
    assert f"{SAMPLE} fails each run" in message


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("nowhere.so", "cannot read {folder}/nowhere.so: No such file or directory"),
        ("libarm.so", "{folder}/libarm.so is for another machine than this one"),
        ("words.so", "{folder}/words.so is no library"),
        ("libno_provider.so", "the library is no execution provider (it has no CreateEpFactories)"),
        (".", "cannot read {folder}: it is not a regular file"),
        ("pipe.so", "cannot read {folder}/pipe.so: it is not a regular file"),
        ("half.so", "{folder}/half.so is cut off"),
    ],
)
def test_a_library_that_can_not_be_used(
    by_sample: Callable[..., Said], libraries: Path, library: str, says: str
) -> None:
    """Whoever names a file means it: not a fallback."""
    said = by_sample(library=library)
    reason = f"provider 'sample' cannot be loaded: {says.format(folder=libraries)}"
    assert (said.code, said.lines) == (8, [f"harness: failed: {reason}"])
    assert said.run["error"]["message"] == reason


@pytest.mark.parametrize(
    ("words", "library", "reason"),
    [
        ((), "libdeviceless_provider.so", "its library offers no device on this machine"),
        (("--provider-device", "type=npu"), "libsample_provider.so",
         "its library offers no device here with type npu"),
        (("--provider-device", "sample_device=two", "--provider-device", "type=cpu"),
         "libsample_provider.so",
         "its library offers no device here with sample_device two, type cpu"),
    ],
)  # fmt: skip
def test_without_a_fitting_device_the_cpu_takes_its_place(
    by_sample: Callable[..., Said], words: tuple[str, ...], library: str, reason: str
) -> None:
    said = by_sample(*words, library=library)
    line = f"harness: provider sample is not used: {reason}; cpu takes its place"
    assert (said.code, said.lines) == (0, [line])
    assert said.run["effective"]["provider"] == "cpu"
    required = by_sample(*words, "--require-provider", library=library)
    line = f"harness: failed: provider 'sample' is required: {reason}"
    assert (required.code, required.lines) == (8, [line])


@pytest.mark.parametrize("device", ["sample_device=one", "type=cpu", f"provider={SAMPLE}"])
def test_a_device_is_chosen_by_what_it_says(by_sample: Callable[..., Said], device: str) -> None:
    said = by_sample("--provider-device", device)
    assert (said.code, said.lines) == (0, [])
    assert said.run["effective"]["provider"] == "sample"


def test_files_of_a_plugin_that_are_not_right_are_named(project: Edgesmith, plugged: Path) -> None:
    del plugged
    file = project.folder / "edgesmith.toml"
    text = file.read_text()
    try:
        file.write_text(text.replace("libsample_provider.so", "libsampel_provider.so"))
        missing = project("build", "--target", "plugged")
        assert missing.code == 2
        assert "there is no such file" in missing.err and "plugins.sample.library" in missing.err
        name = 'library = "engines/libsample_provider.so"'
        file.write_text(text.replace(name, f'{name}\nfiles = ["engines/libsample_provider.so"]'))
        twice = project("build", "--target", "plugged")
        assert twice.code == 2
        assert "two files are called libsample_provider.so" in twice.err
    finally:
        file.write_text(text)


# The maker's plugin, of a PyPI package: its own device is there on Intel's CPUs alone.
VENDOR = "onnxruntime-ep-openvino"
VENDOR_VERSION = "1.8.1"
VENDOR_SHA256 = "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924"
VENDOR_LIBRARY = "onnxruntime_ep_openvino/libonnxruntime_providers_openvino_plugin.so"


@pytest.fixture(scope="module")
def vendor_library(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """Beside all that comes with it; downloaded once for all sessions."""
    kept = session_cache / "downloads" / VENDOR_SHA256
    wheel = next(kept.glob("*.whl"), None) if kept.is_dir() else None
    if wheel is None or sha256_file(wheel) != VENDOR_SHA256:
        folder = tmp_path_factory.mktemp("downloaded")
        requirement = folder / "requirements.txt"
        requirement.write_text(f"{VENDOR}=={VENDOR_VERSION} --hash=sha256:{VENDOR_SHA256}\n")
        argv = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes",
            "--disable-pip-version-check", "-r", requirement, "-d", folder,
        ]  # fmt: skip
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"{VENDOR} {VENDOR_VERSION} cannot be downloaded: {done.stderr[-300:]}")
        (downloaded,) = folder.glob("*.whl")
        kept.mkdir(exist_ok=True)
        wheel = shutil.move(downloaded, kept / downloaded.name)
    unpacked = tmp_path_factory.mktemp("vendor")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return unpacked / VENDOR_LIBRARY


def is_intel() -> bool:
    return "GenuineIntel" in Path("/proc/cpuinfo").read_text()


@pytest.mark.skipif(host.machine() != "x86_64", reason="the plugin is for x86-64")
def test_the_makers_own_plugin(plugged: Path, vendor_library: Path) -> None:
    """Where it has a device, it runs the model; elsewhere it is told why not."""
    words = ("--provider", "intel", "--provider-library", str(vendor_library))
    said, required = (bench(plugged, *words, *more) for more in ((), ("--require-provider",)))
    assert said.code == 0
    effective = said.run["effective"]
    if is_intel():
        assert (said.lines, required.code) == ([], 0)
        assert effective["provider"] == "intel" and CPU not in effective["placement"]
        return
    reason = "its library offers no device on this machine"
    assert said.lines == [f"harness: provider intel is not used: {reason}; cpu takes its place"]
    assert effective["provider"] == "cpu"
    line = f"harness: failed: provider 'intel' is required: {reason}"
    assert (required.code, required.lines) == (8, [line])
