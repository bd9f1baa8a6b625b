"""Bundles for OpenVINO and CUDA: all that they need is in them or told, and they run without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundled_harness import bench, manifest_of, run_in, variant_of
from edgesmith.bundle.verify import verify_bundle
from edgesmith.devices.emulation import chosen_cpu, make_emulator
from edgesmith.errors import DeviceError
from edgesmith.platforms import load_platforms
from edgesmith.report.schema import load_report
from needed_libraries import unmet
from workbench import Edgesmith

PLATFORMS = {
    "host": "linux-x86_64",
    "openvino": "linux-x86_64-openvino",
    "cuda": "linux-x86_64-cuda",
    "cuda-arm": "linux-aarch64-cuda",
}
FIXTURES = {"openvino": "openvino_bundle", "cuda": "cuda_bundle", "cuda-arm": "cuda_arm_bundle"}
# With the loader: what is there with every glibc and every C++ program.
EVERYWHERE = {
    "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1",
    "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}  # fmt: skip
DRIVER = {"NVIDIA driver": ">=580", "CUDA": ">=13,<14"}
FALLBACK = "harness: provider {} is not used: the library {} is missing; cpu takes its place"
NO_CUDA = FALLBACK.format("cuda", "libcublasLt.so.13")
NO_TENSORRT = FALLBACK.format("tensorrt", "libcublas.so.13")
HAS_CUDA = any(Path(folder, "libcuda.so.1").exists() for folder in (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"
))  # fmt: skip
without_gpu = pytest.mark.skipif(HAS_CUDA, reason="this machine has NVIDIA's driver")


@pytest.fixture(params=PLATFORMS)
def bundle(request: pytest.FixtureRequest, built: Edgesmith) -> Path:
    if request.param == "host":
        return built.folder / "build" / "digits" / "host" / "bundle"
    folder: Path = request.getfixturevalue(FIXTURES[request.param])
    return folder


def test_every_needed_library_is_in_the_bundle_or_told(bundle: Path) -> None:
    manifest = verify_bundle(bundle).content
    platform = load_platforms()[manifest["platform"]]
    assert PLATFORMS[manifest["target"]] == platform.name
    assert unmet(bundle) == []
    told = set(manifest["requires"]["libraries"])
    assert told - EVERYWHERE == set(platform.system_libraries)
    needs = manifest["requires"]["providers"]
    assert set(needs) == set(platform.drivers) == set(platform.providers) - {"cpu", "openvino"}
    drivers = manifest["requires"]["driver_libraries"]
    assert drivers == sorted({one for need in needs.values() for one in need["libraries"]})
    assert not {path.name for path in (bundle / "lib").iterdir()} & set(drivers)


def test_what_gpus_need_is_told_as_products(cuda_bundle: Path, cuda_arm_bundle: Path) -> None:
    needs, of_arm = (
        {name: need["products"] for name, need in manifest_of(one)["requires"]["providers"].items()}
        for one in (cuda_bundle, cuda_arm_bundle)
    )
    assert needs == {
        "cuda": DRIVER,
        "tensorrt": {**DRIVER, "cuDNN": ">=9,<10", "TensorRT": ">=10,<11"},
    }
    assert of_arm == {"cuda": {**DRIVER, "cuDNN": ">=9,<10"}}


def test_of_openvino_only_what_its_cpu_device_needs(openvino_bundle: Path) -> None:
    names = {path.name.partition(".so")[0] for path in (openvino_bundle / "lib").iterdir()}
    assert names == {
        "libonnxruntime", "libonnxruntime_providers_openvino", "libonnxruntime_providers_shared",
        "libopenvino", "libopenvino_intel_cpu_plugin", "libopenvino_onnx_frontend", "libtbb",
    }  # fmt: skip
    for owner in ("onnxruntime", "openvino", "onetbb"):
        assert (openvino_bundle / "licenses" / owner / "LICENSE").is_file()


def test_each_variant_has_the_provider_of_its_precision(
    openvino_bundle: Path, cuda_bundle: Path, cuda_arm_bundle: Path
) -> None:
    found = {
        bundle: {v["name"]: (v["provider"], v["encoding"]) for v in manifest_of(bundle)["variants"]}
        for bundle in (openvino_bundle, cuda_bundle, cuda_arm_bundle)
    }
    openvino, cuda, arm = found.values()
    assert openvino["fp32"] == ("openvino", "float")
    assert openvino["int8"] == ("openvino", "u8s8-openvino-7bit")
    assert cuda == {
        "fp32": ("cuda", "float"),
        "fp16": ("cuda", "float"),
        "int8": ("tensorrt", "s8s8-symmetric"),
    }
    assert arm == {"fp32": ("cuda", "float"), "fp16": ("cuda", "float")}
    defaults = [manifest_of(bundle)["default_variant"] for bundle in found]
    assert defaults == ["int8", "int8", "fp16"]


@without_gpu
def test_verify_falls_back_visibly(cuda_bundle: Path) -> None:
    plain = run_in(cuda_bundle, "harness", "verify", "--json", "-", "--variant", "fp32")
    assert (plain.code, plain.lines) == (0, [NO_CUDA])
    both = run_in(cuda_bundle, "harness", "verify")
    assert (both.code, both.lines) == (0, [NO_TENSORRT, NO_CUDA])
    refused = run_in(cuda_bundle, "harness", "verify", "--require-provider")
    reason = "provider 'tensorrt' is required: the library libcublas.so.13 is missing"
    assert (refused.code, refused.lines) == (8, [f"harness: {reason}"])
    # The cpu is asked for: nothing is missing.
    words = ("--variant", "fp32", "--provider", "cpu", "--require-provider")
    cpu = run_in(cuda_bundle, "harness", "verify", *words)
    assert (cpu.code, cpu.lines) == (0, [])


@without_gpu
def test_bench_falls_back_visibly(cuda_bundle: Path) -> None:
    said = bench(cuda_bundle)
    assert said.code == 0
    assert said.lines == [NO_CUDA, NO_CUDA, NO_TENSORRT, NO_CUDA]
    missing = {"cuda": "libcublasLt.so.13", "tensorrt": "libcublas.so.13"}
    asked = {"fp32": ["cuda"], "fp16": ["cuda"], "int8": ["tensorrt", "cuda"]}
    for run in said.report["runs"]:
        providers = asked[run["requested"]["variant"]]
        assert run["requested"]["provider"] == providers[0]
        effective = run["effective"]
        assert effective["provider"] == "cpu"
        assert set(effective["placement"]) == {"CPUExecutionProvider"}
        assert effective["fallbacks"] == [
            {"provider": name, "reason": f"the library {missing[name]} is missing"}
            for name in providers
        ]


@without_gpu
@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("fp32", "provider 'cuda' is required: the library libcublasLt.so.13 is missing"),
        ("int8", "provider 'tensorrt' is required: the library libcublas.so.13 is missing"),
    ],
)
def test_bench_fails_where_the_provider_is_required(
    cuda_bundle: Path, variant: str, reason: str
) -> None:
    said = bench(cuda_bundle, "--variant", variant, "--require-provider")
    assert (said.code, said.lines) == (8, [f"harness: failed: {reason}"])
    assert said.run["verdict"] == "failed"
    assert said.run["error"]["message"] == reason


@without_gpu
def test_the_example_program_says_it_too(cuda_bundle: Path) -> None:
    said = run_in(cuda_bundle, "digits-app", "--json")
    assert said.code == 0
    assert said.lines == [line.removeprefix("harness: ") for line in (NO_TENSORRT, NO_CUDA)]
    assert said.out.startswith("{")


@without_gpu
def test_a_build_says_who_ran_its_self_test(accelerated: Edgesmith, cuda_bundle: Path) -> None:
    del cuda_bundle
    said = (accelerated.folder / "cuda.log").read_text()
    line = FALLBACK.format("tensorrt", "libcublas.so.13").removeprefix("harness: ")
    assert f"self-test on this machine: {line}" in said


@without_gpu
def test_the_report_shows_what_was_not_used(accelerated: Edgesmith, cuda_bundle: Path) -> None:
    del cuda_bundle
    accelerated.ok("flash", "--device", "gpu")
    shown = accelerated.ok("bench", "--device", "gpu").out
    line = FALLBACK.format("tensorrt", "libcublas.so.13").removeprefix("harness: ")
    assert f"int8: {line}" in shown
    # What the CPU's speed says is not said of the GPU.
    assert "in the place of cuda" in " ".join(shown.split())
    required = Edgesmith(
        folder=accelerated.folder,
        cache=accelerated.cache,
        environment={**accelerated.environment, "EDGESMITH_BENCH__REQUIRE_PROVIDER": "true"},
    )
    failed = required("bench", "--device", "gpu")
    assert failed.code == 8
    assert "provider 'cuda' is required: the library libcublasLt.so.13 is missing" in failed.err


def emulated(accelerated: Edgesmith) -> None:
    """Skips where the CPU of the emulated device can't be emulated here."""
    try:
        make_emulator(
            chosen_cpu("cortex-a76", "EM_AARCH64", "gpu-arm"), accelerated.cache / "roots"
        )
    except DeviceError as error:
        pytest.skip(str(error.what))


def test_the_bundle_for_arm_runs_without_a_gpu(
    accelerated: Edgesmith, cuda_arm_bundle: Path
) -> None:
    """Its default, FP16, on an emulated core that has such arithmetic: the runtime's channels-last
    layout, which lacks a kernel for the network's AveragePool, is not used."""
    emulated(accelerated)
    half = variant_of(cuda_arm_bundle, "fp16")
    assert half["path"] == "model/fp16.onnx"
    (disabled,) = half["session_options"]["config"].values()
    assert disabled.split(";") == ["WeightBiasQuantization", "NhwcTransformer"]
    (flashed,) = accelerated.ok("flash", "--device", "gpu-arm", "--format", "json").json()[
        "devices"
    ]
    assert flashed["self_test"] == "passed"
    told = accelerated.ok("bench", "--device", "gpu-arm", "--format", "json").json()
    report: Any = load_report(Path(told["devices"][0]["file"]))
    missing = {"provider": "cuda", "reason": "the library libcublasLt.so.13 is missing"}
    assert [run["requested"]["variant"] for run in report["runs"]] == ["fp32", "fp16"]
    for run in report["runs"]:
        assert run["effective"]["provider"] == "cpu"
        assert run["effective"]["fallbacks"] == [missing]
        top1 = next(one for one in run["accuracy"] if one["metric"] == "top1")
        assert top1["value"] > 0.9
