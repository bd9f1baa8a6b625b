"""Execution providers in the project file: what a target gets, and what is said of mistakes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from edgesmith.errors import UsageError
from edgesmith.generate.plugins import plugin_digests, require_plugin_libraries
from edgesmith.platforms import load_platforms
from edgesmith.project.load import load_project
from edgesmith.project.project import Target
from edgesmith.providers import load_providers, option_text
from edgesmith.quantize.encoding import encoding_for
from edgesmith.quantize.variants import has_half

OPENVINO, CUDA, CUDA_ARM = "linux-x86_64-openvino", "linux-x86_64-cuda", "linux-aarch64-cuda"
PLUGIN = """
[plugins.npu]
library = "vendor/libnpu.so"
files = ["vendor/libnpu_compiler.so"]
licenses = ["vendor/LICENSE"]
needs = ["libnpu_driver.so.1"]
device = { type = "npu" }
options = { mode = "fast", level = 2 }
"""


def write(file: Path, platform: str, tables: str, *, keys: str = "") -> None:
    """The right project for another platform, with more keys of its target and more tables."""
    text = file.read_text().replace('"linux-x86_64"', f'"{platform}"\n{keys}')
    file.write_text(f"{text}\n{tables}")


def target(file: Path, platform: str, tables: str = "", *, keys: str = "") -> Target:
    write(file, platform, tables, keys=keys)
    return load_project(file, {}).target("host")


def test_each_target_has_its_platforms_providers_with_their_defaults(project_file: Path) -> None:
    made = target(project_file, CUDA)
    assert tuple(made.providers) == ("tensorrt", "cuda", "cpu")
    for name, provider in made.providers.items():
        assert provider.options == load_providers()[name].defaults
        assert (provider.library, provider.device) == ("", {})
    chosen = {p: made.provider_of(p).name for p in ("fp32", "fp16", "int8")}
    assert chosen == {"fp32": "cuda", "fp16": "cuda", "int8": "tensorrt"}


def test_options_are_merged_over_the_defaults_and_become_text(project_file: Path) -> None:
    made = target(
        project_file,
        OPENVINO,
        "[targets.host.providers.openvino]\n"
        "num_streams = 2\ndisable_dynamic_shapes = true\ndevice_type = 'AUTO'\n"
        "model_priority = 0.5\n",
    )
    assert made.providers["openvino"].options == {
        "precision": "FP32",
        "num_streams": "2",
        "disable_dynamic_shapes": "true",
        "device_type": "AUTO",
        "model_priority": "0.5",
    }
    assert [option_text(value) for value in (False, 7, "True")] == ["false", "7", "True"]


@pytest.mark.parametrize(
    ("platform", "precision", "half"),
    [
        ("linux-x86_64", "int8", False),
        (OPENVINO, "int8", False),
        (CUDA, "int8", True),
        (CUDA_ARM, "fp16", True),
    ],
)
def test_the_precision_is_the_platforms_unless_said(
    project_file: Path, platform: str, precision: str, half: bool
) -> None:
    made = target(project_file, platform)
    assert (made.quantize.precision, has_half(made)) == (precision, half)


@pytest.mark.parametrize(
    ("tables", "keys"),
    [("[quantize]\nprecision = 'fp32'\n", ""), ("", "quantize = { precision = 'fp32' }")],
    ids=["of all targets", "of the target"],
)
def test_a_precision_that_is_said_holds(project_file: Path, tables: str, keys: str) -> None:
    made = target(project_file, CUDA_ARM, tables, keys=keys)
    assert (made.quantize.precision, has_half(made)) == ("fp32", False)


@pytest.mark.parametrize(
    ("platform", "keys", "encoding"),
    [
        (OPENVINO, "", "u8s8-openvino-7bit"),
        (OPENVINO, "cpu = 'icelake-server'", "u8s8-openvino"),
        (OPENVINO, "provider = 'cpu'", "u8s8-pairs"),
        (OPENVINO, "provider = 'cpu'\ncpu = 'icelake-server'", "u8s8"),
        (CUDA, "", "s8s8-symmetric"),
        (CUDA, "provider = 'cuda'", "s8s8-symmetric"),
        (CUDA, "provider = 'cpu'", "u8s8-pairs"),
        (CUDA_ARM, "quantize = { precision = 'int8' }", "s8s8-symmetric"),
        (CUDA_ARM, "provider = 'cpu'", "s8s8"),
    ],
)
def test_the_encoding_is_for_what_runs_int8(
    project_file: Path, platform: str, keys: str, encoding: str
) -> None:
    made = target(project_file, platform, keys=keys)
    found = encoding_for(made)
    assert found.name == encoding
    assert found.fuses == (made.provider_of("int8").name != "cpu")


def test_a_plugin_is_a_provider_of_the_targets_that_name_it(project_file: Path) -> None:
    write(project_file, OPENVINO, PLUGIN, keys="provider = 'npu'\nproviders.npu = { level = 3 }")
    with project_file.open("a") as file:
        file.write('[targets.other]\nplatform = "linux-aarch64"\n')
        file.write('[targets.both]\nplatform = "linux-x86_64"\n')
        file.write('bench = { providers = ["cpu", "npu"] }\n')
    project = load_project(project_file, {})
    made = project.target("host")
    assert tuple(made.providers) == ("openvino", "cpu", "npu")
    assert tuple(project.target("other").providers) == ("cpu",)
    assert tuple(project.target("both").providers) == ("cpu", "npu")
    npu = made.provider_of("int8")
    assert npu.record() == {
        "options": {"mode": "fast", "level": "3"},
        "library": "lib/plugins/npu/libnpu.so",
        "device": {"type": "npu"},
        "graph_optimization_level": "basic",
    }
    assert npu.graph_optimization_level == "basic"
    assert npu.plugin is not None and npu.plugin.needs == ("libnpu_driver.so.1",)
    vendor = project_file.parent / "vendor"
    assert npu.plugin.all_files == (vendor / "libnpu.so", vendor / "libnpu_compiler.so")
    assert project.target("both").providers["npu"].options == {"mode": "fast", "level": "2"}


def test_a_device_that_measures_by_a_plugin_brings_it_into_the_bundle(project_file: Path) -> None:
    with project_file.open("a") as file:
        file.write(f'bench = {{ providers = ["npu", "cpu"] }}\n{PLUGIN}')
    made = load_project(project_file, {}).target("host")
    assert tuple(made.providers) == ("cpu", "npu")
    assert made.provider_of("int8").name == "cpu"


@pytest.mark.parametrize(
    ("platform", "keys", "tables", "says"),
    [
        (OPENVINO, "provider = 'openvno'", "",
         ("targets.host.provider: found 'openvno', which the platform linux-x86_64-openvino does"
          " not have", "did you mean 'openvino'?")),
        (OPENVINO, "provider = 'cuda'", "",
         ("targets.host.provider: found 'cuda'",
          "does not have; linux-x86_64-cuda and linux-aarch64-cuda have it")),
        ("linux-x86_64", "bench = { providers = ['cpu', 'tensorrt'] }", "",
         ("targets.host.bench.providers[1]: found 'tensorrt'", "linux-x86_64-cuda has it")),
        (OPENVINO, "providers.cuda = { device_id = 1 }", "",
         ("targets.host.providers.cuda: found 'cuda'", "does not have")),
        (OPENVINO, "", "[bench]\nproviders = ['opnvino']\n",
         ("bench.providers[0]: found 'opnvino', which no target has", "'openvino'?")),
        (OPENVINO, "providers.openvino = { num_stream = 1 }", "",
         ("targets.host.providers.openvino.num_stream: unknown option of openvino",
          "did you mean 'num_streams'?")),
        (OPENVINO, "providers.openvino = { use_tf32 = 1 }", "",
         ("providers.openvino.use_tf32: openvino does not take it; cuda does",)),
        (OPENVINO, "providers.openvino = { device_id = 1 }", "",
         ("openvino does not take it; cuda and tensorrt do\n",)),
        (CUDA, "providers.cuda = { trt_fp16_enable = true }", "",
         ("cuda does not take it; tensorrt does",)),
        (CUDA, "providers.cpu = { threads = 2 }", "", ("unknown option of cpu",)),
        (OPENVINO, "providers.openvino = { num_streams = [1] }", "",
         ("providers.openvino.num_streams: found [1]; expected text, a number, true or false",)),
        (OPENVINO, "providers.openvino = { precision = nan }", "", ("a finite number",)),
        (OPENVINO, f"providers.openvino = {{ cache_dir = '{'x' * 4097}' }}", "",
         ("cache_dir", "at most 4096 characters")),
        (OPENVINO, "providers.openvino.num_streams = 'abc'", "",
         ("providers.openvino.num_streams: found 'abc', takes a whole number",)),
        (OPENVINO, "providers.openvino.num_streams = true", "",
         ("found true, takes a whole number",)),
        (OPENVINO, "providers.openvino.num_streams = 1.5", "",
         ("found 1.5, takes a whole number",)),
        (OPENVINO, "providers.openvino.cache_dir = 'here'", "",
         ("providers.openvino.cache_dir: found 'here', takes a folder of the device",)),
        (CUDA, "providers.cuda.use_tf32 = 'yes'", "", ("found 'yes', takes true or false",)),
        (CUDA, "providers.cuda.device_id = true", "", ("found true, takes a whole number",)),
        (OPENVINO, "providers.openvino = 'CPU'", "",
         ("targets.host.providers.openvino: found 'CPU'; expected a table",)),
        (OPENVINO, "providers.openvino = { 'a b' = 1 }", "", ("an option's name of letters",)),
        ("linux-x86_64", "", "[plugins.cuda]\nlibrary = 'l.so'\n",
         ("plugins.cuda: ONNX Runtime has a provider of this name",)),
        ("linux-x86_64", "", "[plugins.Npu]\nlibrary = 'l.so'\n", ("plugins.Npu", "lower-case")),
        ("linux-x86_64", "", "[plugins.npu]\nfiles = ['l.so']\n",
         ("plugins.npu.library: missing",)),
        ("linux-x86_64", "", "[plugins.npu]\nlibrary = 'l.so'\ndevices = {}\n",
         ("plugins.npu.devices: unknown key; did you mean 'device'?",)),
        ("linux-x86_64", "", "[plugins.npu]\nlibrary = 'l.so'\noptions = { a = [1] }\n",
         ("plugins.npu.options.a: found [1]",)),
        ("linux-x86_64", "", "[plugins.npu]\nlibrary = 'l.so'\ndevice = { type = 1 }\n",
         ("plugins.npu.device.type: found 1; expected text",)),
        ("linux-x86_64", "provider = 'nup'", PLUGIN, ("did you mean 'npu'?",)),
    ],
)  # fmt: skip
def test_mistakes_name_their_key(
    project_file: Path, platform: str, keys: str, tables: str, says: tuple[str, ...]
) -> None:
    write(project_file, platform, tables, keys=keys)
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    for words in says:
        assert words in f"{caught.value.what}\n"


def test_checked_options_are_options() -> None:
    for facts in load_providers().values():
        assert facts.integers | facts.switches | facts.folders <= set(facts.options)


@pytest.mark.parametrize(("name", "says"), [("cuda", "have it"), ("cpuu", "did you mean 'cpu'?")])
def test_a_device_measures_by_providers_of_its_target(
    project_file: Path, name: str, says: str
) -> None:
    with project_file.open("a") as file:
        file.write(f'bench = {{ providers = ["cpu", "{name}"] }}\n')
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    assert f"devices.desk.bench.providers[1]: found '{name}'" in caught.value.what
    assert "which target 'host' does not have" in caught.value.what
    assert says in caught.value.what


def test_all_mistakes_of_providers_are_told_at_once(project_file: Path) -> None:
    keys = "provider = 'cuda'\nproviders.openvino = { num_stream = 1, use_tf32 = 0 }"
    write(project_file, OPENVINO, "[plugins.cpu]\nlibrary = 'l.so'\n", keys=keys)
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    for key in ("provider:", "openvino.num_stream:", "openvino.use_tf32:", "plugins.cpu:"):
        assert key in caught.value.what


def test_files_of_a_plugin_are_there_and_have_names_of_their_own(project_file: Path) -> None:
    made = target(project_file, "linux-x86_64", PLUGIN, keys="provider = 'npu'").providers["npu"]
    with pytest.raises(UsageError, match="there is no such file") as caught:
        plugin_digests(made)
    assert "plugins.npu.library" in caught.value.where
    vendor = project_file.parent / "vendor"
    vendor.mkdir()
    (vendor / "libnpu.so").write_bytes(b"1")
    with pytest.raises(UsageError, match="there is no such file") as caught:
        plugin_digests(made)
    assert "plugins.npu.files[0]" in caught.value.where
    (vendor / "libnpu_compiler.so").write_bytes(b"2")
    with pytest.raises(UsageError, match="there is no such file") as caught:
        plugin_digests(made)
    assert "plugins.npu.licenses[0]" in caught.value.where
    (vendor / "LICENSE").write_text("as you like")
    assert set(plugin_digests(made)) == {
        "plugins/npu/libnpu.so",
        "plugins/npu/libnpu_compiler.so",
        "licenses/plugins/npu/LICENSE",
    }
    project_file.write_text(project_file.read_text().replace("_compiler", ""))
    again = load_project(project_file, {}).target("host").providers["npu"]
    with pytest.raises(UsageError, match=r"two files are called libnpu\.so"):
        plugin_digests(again)


def test_plugins_are_libraries_for_the_targets_machines(project_file: Path) -> None:
    plain = '[plugins.npu]\nlibrary = "npu.so"\n'
    library = project_file.parent / "npu.so"
    built = target(project_file, "linux-x86_64", plain, keys="provider = 'npu'")
    wrong = {"0 bytes": b"", "a text": b"not a library", "cut off": b"\x7fELF\x02\x01\x01"}
    for content in wrong.values():
        library.write_bytes(content)
        with pytest.raises(UsageError, match="no library") as caught:
            require_plugin_libraries(built.providers["npu"], built.platform)
        assert "plugins.npu.library" in caught.value.where
    shutil.copy(Path(sys.executable).resolve(), library)
    require_plugin_libraries(built.providers["npu"], built.platform)
    with pytest.raises(UsageError, match=r"is for EM_X86_64, 64 bits, and linux-aarch64 is"):
        require_plugin_libraries(built.providers["npu"], load_platforms()["linux-aarch64"])
    library.unlink()
    library.mkdir()
    with pytest.raises(UsageError, match="it is no file"):
        require_plugin_libraries(built.providers["npu"], built.platform)
