"""The models of the table: where each comes from and what the project file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["module", "module + examples", "ScriptModule", ".pt", ".pt2", ".onnx"]
Dims = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Input:
    """One `[model.inputs.NAME]`; without `shape` the source says it."""

    name: str
    shape: Dims | None = None
    dtype: str = ""
    range: tuple[float, float] | None = None
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A model. `source` is a file of `sources/` and a function in it, which returns a module, or
    what is saved as .pt or .pt2, or writes the .onnx that it is given the path of.

    `everyday`: it takes a second and belongs to `make test`.
    """

    name: str
    kind: Kind
    source: str
    inputs: tuple[Input, ...] = ()
    exporter: str = "auto"
    everyday: bool = False


def image(size: int, name: str = "image", channels: int = 3) -> Input:
    return Input(name=name, shape=("batch", channels, size, size), sizes={"batch": (1, 2)})


def tokens(name: str, last: int, **sizes: tuple[int, ...]) -> Input:
    return Input(name=name, shape=("batch", "length"), dtype="int64", range=(0, last), sizes=sizes)


SEQUENCE = {"length": (3, 9)}
VISION = (
    Definition(name="AlexNet", kind="module", source="vision:alexnet", inputs=(image(224),)),
    Definition(name="VGG-11", kind="module", source="vision:vgg11", inputs=(image(224),)),
    Definition(
        name="DenseNet-121", kind="module", source="vision:densenet121", inputs=(image(224),)
    ),
    Definition(
        name="Inception v3", kind="module + examples", source="vision:inception_v3",
        inputs=(image(299, "x"),),
    ),
    Definition(name="ResNet-50", kind="module", source="vision:resnet50", inputs=(image(224),)),
    Definition(name="MobileNetV2", kind=".pt2", source="vision:mobilenet_v2"),
    Definition(
        name="MobileNetV3 large", kind=".pt", source="vision:mobilenet_v3", inputs=(image(224),)
    ),
    Definition(name="ViT-B/16", kind="module", source="vision:vit_b_16", inputs=(image(224),)),
    Definition(
        name="SqueezeNet 1.1", kind="ScriptModule", source="vision:squeezenet",
        inputs=(image(224),),
    ),
    Definition(name="ShuffleNetV2", kind=".onnx", source="vision:shufflenet"),
    Definition(name="RegNetY-400MF", kind="module", source="vision:regnet", inputs=(image(224),)),
    Definition(
        name="EfficientNet-Lite0", kind="module", source="networks:efficientnet_lite0",
        inputs=(image(224),),
    ),
)  # fmt: skip

NETWORKS = (
    Definition(
        name="SuperResolution", kind="module", source="networks:super_resolution",
        inputs=(
            Input(
                name="x", shape=("batch", 1, "height", "width"),
                sizes={"batch": (1, 2), "height": (16, 24), "width": (16, 20)},
            ),
        ),
    ),
    Definition(
        name="DCGAN generator", kind="module", source="networks:dcgan_generator",
        inputs=(
            Input(name="noise", shape=("batch", 100, 1, 1), sizes={"batch": (1, 3)}),
        ),
    ),
    Definition(
        name="U-Net", kind="module + examples", source="networks:u_net",
        inputs=(
            Input(
                name="image", shape=(2, 3, "height", "width"),
                sizes={"height": (48, 64), "width": (64, 32)},
            ),
        ),
    ),
    Definition(
        name="keyword spotting", kind=".pt", source="networks:keyword_spotting",
        inputs=(
            Input(
                name="features", shape=("batch", 40, "time"),
                sizes={"batch": (1, 2), "time": (50, 98)},
            ),
        ),
    ),
    Definition(name="autoencoder", kind=".pt2", source="networks:autoencoder", everyday=True),
    Definition(
        name="upsampling", kind="module", source="networks:upsampling", inputs=(image(16, "x"),)
    ),
    Definition(
        name="residual, traced", kind=".pt", source="interfaces:traced_residual",
        inputs=(image(32),), everyday=True,
    ),
    Definition(
        name="layer normalization", kind="module", source="networks:layer_norm",
        inputs=(Input(name="x", shape=("batch", 16), sizes={"batch": (1, 5)}),),
    ),
    Definition(
        name="STFT", kind="module + examples", source="networks:spectrum",
    ),
)  # fmt: skip

SEQUENCES = (
    Definition(
        name="word language model", kind="module + examples",
        source="recurrent:word_language_model",
        inputs=(
            Input(
                name="words", shape=("length", 2), dtype="int64", range=(0, 499), sizes=SEQUENCE
            ),
        ),
    ),
    Definition(
        name="GRU", kind="module", source="recurrent:gru",
        inputs=(
            Input(
                name="x", shape=("batch", "length", 16), sizes={"batch": (1, 2), **SEQUENCE}
            ),
        ),
    ),
    Definition(
        name="4-layer bidirectional LSTM", kind="module", source="recurrent:bilstm",
        inputs=(Input(name="x", shape=("length", 2, 16), sizes=SEQUENCE),), everyday=True,
    ),
    Definition(
        name="RNN, traced", kind=".pt", source="recurrent:rnn_tanh",
        inputs=(Input(name="x", shape=("length", 2, 8), sizes=SEQUENCE),),
    ),
    Definition(
        name="recurrent cell in a scripted loop", kind="ScriptModule",
        source="recurrent:cell_loop",
        inputs=(Input(name="x", shape=("length", 2, 8), sizes=SEQUENCE),),
    ),
    Definition(
        name="MiniLM encoder", kind="module", source="transformers:minilm",
        inputs=(
            tokens("input_ids", 30521, batch=(1, 2), length=(8, 13)),
            Input(
                name="attention_mask", shape=("batch", "length"), dtype="int64", range=(0, 1)
            ),
        ),
    ),
    Definition(
        name="transformer encoder, padded", kind="module + examples",
        source="transformers:encoder",
        inputs=(
            tokens("tokens", 99, batch=(1, 2), length=(4, 9)),
            Input(
                name="attention_mask", shape=("batch", "length"), range=(1, 1)
            ),
        ),
    ),
    Definition(
        name="causal decoder", kind="module", source="transformers:decoder",
        inputs=(tokens("tokens", 99, batch=(1, 3), length=(4, 9)),),
    ),
)  # fmt: skip

CONTROL_FLOW = (
    Definition(
        name="scripted loop, count is an input", kind="module + examples",
        source="control_flow:counted_loop",
        inputs=(Input(name="count", shape=(), range=(0, 9)),), everyday=True,
    ),
    Definition(
        name="torch.while_loop", kind="module + examples", source="control_flow:while_loop",
        everyday=True,
    ),
    Definition(
        name="torch.cond", kind="module + examples", source="control_flow:cond", everyday=True,
    ),
    Definition(
        name="indexed assignment", kind="module", source="control_flow:indexed_assignment",
        inputs=(
            Input(name="data", shape=(6, 4)),
            Input(name="rows", shape=(2,), dtype="int64", range=(2, 3)),
            Input(name="new", shape=(4,)),
        ),
        everyday=True,
    ),
    Definition(
        name="branch, scripted", kind=".pt", source="control_flow:scripted_branch",
        inputs=(Input(name="x", shape=("batch", 4), sizes={"batch": (1, 3)}),),
    ),
    Definition(
        name="embedding bag", kind="module", source="control_flow:embedding_bag",
        inputs=(
            Input(name="words", shape=(3, 5), dtype="int64", range=(0, 49)),
            Input(name="weights", shape=(3, 5)),
        ),
        everyday=True,
    ),
    Definition(
        name="top-k and cumulative sum", kind="module", source="control_flow:top_k",
        inputs=(Input(name="x", shape=("batch", 7), sizes={"batch": (1, 3)}),),
    ),
)  # fmt: skip

INTERFACES = (
    Definition(
        name="integer inputs", kind="module", source="interfaces:integers",
        inputs=(
            Input(name="bytes", shape=(4,), dtype="uint8", range=(0, 255)),
            Input(name="counts", shape=(4,), dtype="int32", range=(-9, 9)),
            Input(name="ids", shape=("n",), dtype="int64", range=(0, 99), sizes={"n": (1, 3)}),
        ),
        everyday=True,
    ),
    Definition(
        name="boolean inputs", kind="module + examples", source="interfaces:booleans",
        everyday=True,
    ),
    Definition(
        name="scalar input", kind="module", source="interfaces:scalar",
        inputs=(
            Input(name="x", shape=("batch", 6), sizes={"batch": (1, 2)}),
            Input(name="scale", shape=()),
        ),
        everyday=True,
    ),
    Definition(
        name="20 outputs", kind="module", source="interfaces:twenty_outputs",
        inputs=(Input(name="x", shape=("batch", 8), sizes={"batch": (1, 2)}),), everyday=True,
    ),
    Definition(
        name="list output", kind="module", source="interfaces:list_output",
        inputs=(Input(name="x", shape=("batch", 8), sizes={"batch": (1, 2)}),),
    ),
    Definition(
        name="dict output", kind="module", source="interfaces:dict_output",
        inputs=(image(16),), everyday=True,
    ),
    Definition(name="nested inputs", kind=".pt2", source="interfaces:nested_inputs"),
    Definition(
        name="float16 and float64", kind="module", source="interfaces:float_types",
        inputs=(
            Input(name="half", shape=("n",), dtype="float16", sizes={"n": (2, 5)}),
            Input(name="double", shape=(3,), dtype="float64"),
        ),
    ),
    Definition(
        name="detection head with NonMaxSuppression", kind=".onnx",
        source="graphs:detection_head", everyday=True,
    ),
    Definition(
        name="layers, weights in another file", kind=".onnx", source="graphs:weights_beside"
    ),
    Definition(name="convolutions between permutes", kind=".onnx", source="graphs:permuted"),
)  # fmt: skip

DEFINITIONS = (*VISION, *NETWORKS, *SEQUENCES, *CONTROL_FLOW, *INTERFACES)
