"""Which integers a target's kernels are fast and right with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgesmith.errors import UsageError
from edgesmith.project.project import Target
from edgesmith.values import SessionOptions

# CPUs by their compiler names whose 8-bit dot products accumulate in 32 bits (AVX512-VNNI or
# AVX-VNNI). On all other x86 CPUs the kernels add pairs of products in 16 bits and saturate.
VNNI_CPUS = frozenset({
    "alderlake", "arrowlake", "arrowlake-s", "cascadelake", "clearwaterforest", "cooperlake",
    "diamondrapids", "emeraldrapids", "gracemont", "grandridge", "graniterapids",
    "graniterapids-d", "icelake-client", "icelake-server", "lunarlake", "meteorlake", "novalake",
    "pantherlake", "raptorlake", "rocketlake", "sapphirerapids", "sierraforest", "tigerlake",
    "wildcatlake", "znver4", "znver5",
})  # fmt: skip


# Of those, the ones without AVX-512, where a Sigmoid in float is slower than one by table.
_NARROW_CPUS = frozenset({
    "alderlake", "arrowlake", "arrowlake-s", "clearwaterforest", "gracemont", "grandridge",
    "lunarlake", "meteorlake", "novalake", "pantherlake", "raptorlake", "sierraforest",
    "wildcatlake",
})  # fmt: skip
_AVX512_CPUS = (VNNI_CPUS - _NARROW_CPUS) | {"cannonlake", "skylake-avx512"}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Signedness of activations and weights; with `pairs` the products of two weights that lie side
    by side fit into 16 bits, see rounding/pairs.py.

    Of the float model before it is quantized: depthwise convolutions get a multiple of
    `channel_multiple` channels, images of three colours a fourth channel if `pads_colours`, and
    SiLU is computed in float if `float_silu`.

    `fuses` is of engines that compile whole graphs: what stands behind a convolution becomes part
    of it, so that integers are for what multiplies and for the sums of two branches alone.
    `symmetric` activations have zero in the middle, and `float_bias` stays as it is.

    `exact_here` says that this machine's integer kernels give what the target's give. Others may
    saturate where the target's do not: then outputs are judged in float, operator by operator
    between QuantizeLinear and DequantizeLinear, which is what the integers mean.
    """

    name: str
    activation_signed: bool
    weight_signed: bool
    pairs: bool
    exact_here: bool
    largest_weight: int = 127
    channel_multiple: int = 1
    pads_colours: bool = False
    float_silu: bool = False
    fuses: bool = False
    symmetric: bool = False
    float_bias: bool = False

    def judging(self, options: SessionOptions) -> SessionOptions:
        """The session options for computing the target's outputs on this machine."""
        if self.exact_here:
            return options
        return dataclasses.replace(options, graph_optimization_level="disable")


def encoding_for(target: Target) -> Encoding:
    """The encoding of a target; without a `cpu` the one that is right on every CPU of its kind.

    x86: unsigned activations and signed per-channel weights are the only pair with fast
    convolution kernels; pairs of weights that fit can't saturate the 16-bit sums of CPUs without
    VNNI.
    ARM: only signed activations reach the symmetric kernels; their sums of two products of
    weights within [-127, 127] fit 16 bits.
    OpenVINO: as x86, with weights of 7 bits for CPUs without VNNI, where it adds up in 16 bits in
    an order of its own. TensorRT takes signed symmetric integers and no others.
    """
    kind = _kind(target)
    if kind in ("openvino", "tensorrt"):
        return _of_engine(kind, vnni=target.cpu in VNNI_CPUS)
    if kind == "u8s8":
        vnni = target.cpu in VNNI_CPUS
        return Encoding(
            name="u8s8" if vnni else "u8s8-pairs",
            activation_signed=False,
            weight_signed=True,
            pairs=not vnni,
            exact_here=not vnni,
            channel_multiple=16,
            pads_colours=True,
            float_silu=target.cpu in _AVX512_CPUS,
        )
    if kind == "s8s8":
        return Encoding(
            name="s8s8",
            activation_signed=True,
            weight_signed=True,
            pairs=False,
            exact_here=False,
            channel_multiple=8,
        )
    raise UsageError(
        f"no INT8 encoding is known for the platform '{target.platform.name}'",
        where=f"targets.{target.name}.platform",
        hint='use quantize = { precision = "fp32" } for this target',
    )


def _of_engine(kind: str, *, vnni: bool) -> Encoding:
    """That of an engine which compiles whole graphs."""
    if kind == "tensorrt":
        return Encoding(
            name="s8s8-symmetric",
            activation_signed=True,
            weight_signed=True,
            pairs=False,
            exact_here=False,
            fuses=True,
            symmetric=True,
            float_bias=True,
        )
    return Encoding(
        name="u8s8-openvino" if vnni else "u8s8-openvino-7bit",
        activation_signed=False,
        weight_signed=True,
        pairs=False,
        exact_here=False,
        largest_weight=127 if vnni else 64,
        fuses=True,
    )


def _kind(target: Target) -> str:
    """What the provider of the target's INT8 variants computes fast."""
    platform = target.platform
    of_engine = platform.int8_encoding in ("openvino", "tensorrt")
    if of_engine and target.provider_of("int8").name == "cpu":
        return "u8s8" if platform.elf.machine == "EM_X86_64" else "s8s8"
    return platform.int8_encoding


def kernels_fit_here(target: Target, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this machine, if of the target's architecture, gives the target's INT8 outputs.

    Weights of 8 bits that are meant for a CPU with VNNI saturate on one without.
    """
    if target.quantize.precision != "int8" or target.cpu not in VNNI_CPUS:
        return True
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return False
    return bool({"avx512_vnni", "avx_vnni"} & set(text.split()))
