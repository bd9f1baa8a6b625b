"""The one settings model: what may stand in `edgesmith.toml`, with default and meaning.

The JSON schema, the reference page and the checks all come from these classes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from edgesmith.host_keys import parse_host_key
from edgesmith.project.bench_settings import BenchSettings
from edgesmith.project.fields import (
    ARGUMENT,
    Address,
    Dimension,
    MetricName,
    Name,
    OptionName,
    Positive,
    Range,
    Section,
    ToolchainName,
    Version,
    Words,
)
from edgesmith.project.platform_settings import PlatformSettings
from edgesmith.project.provider_settings import OptionValue, PluginSettings

Dtype = Literal[
    "float32",
    "float64",
    "float16",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
]


# Names of CMake packages that a generated project uses itself.
TAKEN_NAMES = frozenset({"onnxruntime"})


class InputSettings(Section):
    """One model input."""

    shape: tuple[Positive | Dimension, ...] | None = Field(
        None,
        description="Sizes in order; a string names a dynamic dimension, `[]` is a scalar. Default:"
        " what the source says, when it does (example inputs, .pt2, .onnx).",
        strict=False,
    )
    dtype: Dtype | None = Field(
        None,
        description="Element type that the model takes; default: the source's, else float32.",
    )
    argument: str | None = Field(
        None,
        pattern=ARGUMENT,
        description="Where it goes in forward(): a parameter, then indices and keys, such as"
        ' `state[0]`, `batch.ids` or `batch["ids"]`. Default: the parameter of its name, else by'
        " position.",
    )
    range: Range | None = Field(
        None,
        description="Lowest and highest value with which it is checked, such as [0, 30521] for"
        " indices; default: standard normal numbers, and integers of the example's range or 0 and"
        " 1, and extremes as far as PyTorch answers them.",
        strict=False,
    )
    sizes: dict[str, Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]] = Field(
        default_factory=dict,
        description="Sizes with which dynamic dimensions are checked; default: the lowest that the"
        " source allows and one more (1 and 2).",
    )


class ModelSettings(Section):
    """The model: what it is called, where it comes from, what it takes."""

    name: Name = Field(
        description="Name of bundle, program and C++ package; not that of a package inside it"
        " (onnxruntime)."
    )
    version: Version = Field(
        "0.1.0",
        description="MAJOR.MINOR.PATCH; goes into bundle and reports, and guards against rollback.",
    )
    source: str = Field(
        min_length=1,
        description="`FILE.py:callable` returning an nn.Module or (module, example inputs), an"
        " ExportedProgram `FILE.pt2`, TorchScript `FILE.pt`, or `FILE.onnx`.",
    )
    python: str | None = Field(
        None,
        description="Interpreter that runs model.py, data.py and metrics; default: edgesmith's"
        " own.",
    )
    depends: tuple[str, ...] = Field(
        (),
        description="Files that source or data read and that can't be seen from Python, such as"
        " weights read by native code. Imported modules and opened files are found by themselves.",
        strict=False,
    )
    opset: Annotated[int, Field(ge=13, le=23)] | None = Field(
        None,
        description="ONNX opset of the export; default 20, or the newest that every target's"
        " runtime takes.",
    )
    exporter: Literal["auto", "dynamo", "torchscript"] = Field(
        "auto",
        description="`auto` tries both and takes, of those whose model agrees with PyTorch, the one"
        " with the fewest nodes.",
    )
    inputs: dict[str, InputSettings] = Field(
        default_factory=dict,
        description="The inputs in the order of the ONNX model; optional for sources that say them"
        " themselves (example inputs, .pt2, .onnx).",
    )

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in TAKEN_NAMES:
            raise ValueError("a name that no package inside the bundle has")
        return value


class CameraSettings(Section):
    """What the device feeds instead of what forward() takes."""

    dtype: Literal["uint8", "int8", "uint16", "int16", "float16", "float32"] = Field(
        "uint8", description="Element type that comes from the camera."
    )
    layout: Literal["NHWC", "NCHW", "HWC", "CHW"] | None = Field(
        None, description="Axis order that comes from the camera; default: the model's."
    )


class PreprocessSettings(Section):
    """Carried into the graph, so that the device takes what the camera gives.

    The model then gets `(x * scale - mean) / std`, in its own layout and dtype.
    """

    from_: CameraSettings = Field(
        default_factory=CameraSettings,
        alias="from",
        description="What is fed: `{ dtype, layout }`.",
    )
    scale: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Factor on what is fed, such as 1/255."
    )
    mean: Annotated[tuple[float, ...], Field(min_length=1, strict=False)] = Field(
        (0.0,), description="Subtracted after scaling: one number, or one for each channel."
    )
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, strict=False)] = (
        Field((1.0,), description="Divided by at last: one number, or one for each channel.")
    )


class DataSettings(Section):
    """Calibration and evaluation data."""

    calibration: str = Field(
        min_length=1,
        description="`FILE.py:callable` yielding {input: array}; or a folder or glob of .npz or"
        " .safetensors files with an array per input, or of ONNX's `test_data_set_N` folders.",
    )
    evaluation: str = Field(
        min_length=1,
        description="`FILE.py:callable` yielding ({input: array}, label or {output: array} or"
        " None), and as a third entry, where samples are not independent (crops of one picture),"
        " the name of their group: intervals are then taken over groups. Or a folder or glob whose"
        " files may hold arrays named `label` and `group`; or of ONNX's `test_data_set_N` folders"
        " with `input_0.pb`, `output_0.pb` and so on, whose outputs the model must give (to 1e-3 of"
        " each value, as in ONNX's own tests).",
    )
    calibration_samples: Positive = Field(200, description="At most so many are read.")
    evaluation_samples: Positive = Field(500, description="At most so many are read.")
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = Field(
        ("top1",),
        description="`top1`, `top5`, `cosine`, `sqnr_db`, `max_abs_error`, or a function of yours"
        " as `FILE.py:function`. The first decides. Without labels they compare with the reference"
        " outputs.",
        strict=False,
    )


class WorkerSettings(Section):
    """The process that runs model.py, data.py and metrics. No bound changes a result."""

    max_seconds: Annotated[float, Field(gt=0, le=10_000_000)] = Field(
        21_600.0, description="One step of your code that takes longer is ended."
    )
    max_memory_bytes: Annotated[int, Field(ge=100_000_000)] | None = Field(
        None,
        description="Memory that your code may take; default: what the machine has free.",
    )


class QuantizeSettings(Section):
    """How the model is quantized."""

    precision: Literal["int8", "fp16", "fp32"] = Field(
        "int8",
        description="What the target runs; default: the platform's, which is int8 but for"
        " linux-aarch64-cuda (fp16). Targets with a GPU have an fp16 variant beside int8.",
    )
    calibration: Literal["auto", "minmax", "percentile", "entropy", "mse"] = Field(
        "auto",
        description="How activation ranges are found; `auto` starts with minmax and tries the"
        " others only when the accuracy budget is missed.",
    )
    accuracy_budget: Annotated[float, Field(ge=0)] = Field(
        0.01, description="Allowed loss in the deciding metric, in its own unit."
    )
    dynamic: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether a second INT8 variant, int8-dynamic, finds the ranges of activations"
        " in every inference; `auto` makes it of transformers and recurrent networks.",
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="Node names or operator types kept in float; `*` matches any text.",
        strict=False,
    )


class GateSettings(Section):
    """Limits that a report must keep; judged on the confidence interval."""

    max_p50_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Limit of the median latency."
    )
    max_p99_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Limit of the 99th percentile of the latency."
    )
    max_peak_rss_bytes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Limit of the peak memory."
    )
    max_accuracy_loss: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Limit of the loss in the deciding metric against FP32."
    )


class TargetSettings(Section):
    """A kind of device that is built for."""

    platform: str = Field(
        description="Name of a platform: linux-x86_64, linux-x86_64-openvino, linux-x86_64-cuda,"
        " linux-aarch64, linux-aarch64-cuda, linux-armv7, or one of [platforms.NAME]."
    )
    provider: Name | None = Field(
        None,
        description="Execution provider of all variants: one of the platform's (cpu, openvino,"
        " cuda, tensorrt), or one of [plugins.NAME]; default: the platform's for each variant.",
    )
    providers: dict[Name, dict[OptionName, OptionValue]] = Field(
        default_factory=dict,
        description="Options of its providers, such as `openvino = { num_streams = 2 }`, by the"
        " provider's own names; docs/platforms.md has those that are set without.",
    )
    cpu: str | None = Field(
        None, description="CPU model, for choices that depend on it; default: the platform's."
    )
    toolchain: ToolchainName | None = Field(
        None,
        description="Compiler: `zig`, `gcc` (of the system; for ARM Debian's cross compilers) or a"
        " CMake toolchain FILE.cmake; default: the platform's.",
    )
    quantize: dict[str, object] = Field(
        default_factory=dict, description="Keys of [quantize] that differ for this target."
    )
    bench: dict[str, object] = Field(
        default_factory=dict, description="Keys of [bench] that differ for this target."
    )


class DeviceSettings(Section):
    """A device that is flashed and measured."""

    target: Name = Field(description="Name of the target whose bundle it runs.")
    transport: Literal["local", "qemu-user", "ssh", "command"] = Field(
        description="How it is reached. `local`: this machine; `qemu-user`: an emulated device on"
        " this machine, for outputs, not for times; `ssh`: a machine with an SSH server;"
        " `command`: whatever the programs in `push` and `exec` reach."
    )
    address: Address | None = Field(
        None, description="For `ssh`: `[user@]host`, or a host of your ssh config."
    )
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="For `ssh`: the port; default: that of your ssh config, else 22."
    )
    host_key: str | None = Field(
        None,
        min_length=1,
        description="For `ssh`: the device's public host key, such as `ssh-ed25519 AAAA...`."
        " Default: the key must stand in your known_hosts file.",
    )
    push: Words | None = Field(
        None,
        description="For `command`: program and arguments that copy the file `{local}` to the"
        " device as `{remote}`.",
        strict=False,
    )
    exec: Words | None = Field(
        None,
        description="For `command`: program and arguments that run a command on the device and"
        " print what it prints. `{argv}` stands for its words, `{command}` for all of them as one"
        " text quoted for a shell; without either, the words are appended.",
        strict=False,
    )
    fetch: Words | None = Field(
        None,
        description="For `command`: program and arguments that copy the device's file `{remote}`"
        " here as `{local}`. Default: what `exec` prints of it.",
        strict=False,
    )
    cpu: str | None = Field(
        None,
        description="CPU that `qemu-user` stands for, such as cortex-a53; default: the target's.",
    )
    root: str | None = Field(
        None,
        min_length=1,
        description="Where releases are installed: absolute, or relative to the login's home on the"
        " device; default: edgesmith there, for local devices edgesmith/devices/NAME in the"
        " user's data folder. Devices with the same root are one device, also those of other"
        " projects: they take turns.",
    )
    bench: dict[str, object] = Field(
        default_factory=dict, description="Keys of [bench] that differ for this device."
    )
    gates: dict[str, object] = Field(
        default_factory=dict, description="Keys of [gates] that differ for this device."
    )

    @field_validator("host_key")
    @classmethod
    def _a_key(cls, value: str | None) -> str | None:
        if value is not None:
            parse_host_key(value)
        return value


class DefaultsSettings(Section):
    """What is meant when a command names no target or device."""

    targets: tuple[Name, ...] = Field((), description="Default: all targets.", strict=False)
    devices: tuple[Name, ...] = Field((), description="Default: all devices.", strict=False)


class ProjectSettings(Section):
    """The whole project file."""

    schema_: Literal[1] = Field(alias="schema", description="Version of this file's format.")
    model: ModelSettings
    preprocess: dict[str, PreprocessSettings] = Field(default_factory=dict)
    data: DataSettings
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    quantize: QuantizeSettings = Field(default_factory=QuantizeSettings)
    bench: BenchSettings = Field(default_factory=BenchSettings)
    gates: GateSettings = Field(default_factory=GateSettings)
    targets: Annotated[dict[Name, TargetSettings], Field(min_length=1)]
    platforms: dict[Name, PlatformSettings] = Field(default_factory=dict)
    plugins: dict[Name, PluginSettings] = Field(default_factory=dict)
    devices: dict[Name, DeviceSettings] = Field(default_factory=dict)
    defaults: DefaultsSettings = Field(default_factory=DefaultsSettings)

    @field_validator("schema_", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """Without this, `true` would equal 1."""
        return "true" if value is True else value
