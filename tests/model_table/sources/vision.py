"""Networks of torchvision at their full size, with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

if "torchvision" not in sys.modules:
    # Its compiled operators are for another build of torch, and no network here needs them; it
    # only asks that they have been declared.
    _declared = torch.library.Library("torchvision", "DEF")
    _declared.define("nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    _declared.define(
        "qnms(Tensor boxes, Tensor scores, float iou_threshold, float scale, int zero_point)"
        " -> Tensor"
    )
    import torchvision

    # The declarations go with this object.
    torchvision.edgesmith_declared = _declared

from torchvision import models


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Random weights, and batch normalizations that have seen such numbers: without that, deep
    networks give outputs that hardly depend on the image."""
    torch.manual_seed(0)
    network = make()
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        with torch.no_grad():
            network(torch.randn(4, 3, 128, 128))
    return network.eval()


def alexnet() -> nn.Module:
    return _seeded(models.alexnet)


def vgg11() -> nn.Module:
    return _seeded(models.vgg11)


def densenet121() -> nn.Module:
    return _seeded(models.densenet121)


def inception_v3() -> tuple[nn.Module, torch.Tensor]:
    network = _seeded(lambda: models.inception_v3(aux_logits=False, init_weights=False))
    return network, torch.randn(2, 3, 299, 299)


def resnet50() -> nn.Module:
    return _seeded(models.resnet50)


def mobilenet_v2() -> torch.export.ExportedProgram:
    dynamic = {"x": {0: torch.export.Dim("batch", min=1, max=8)}}
    example = (torch.randn(2, 3, 224, 224),)
    return torch.export.export(_seeded(models.mobilenet_v2), example, dynamic_shapes=dynamic)


def mobilenet_v3() -> torch.jit.ScriptModule:
    return torch.jit.script(_seeded(models.mobilenet_v3_large))


def vit_b_16() -> nn.Module:
    module = _seeded(models.vit_b_16)
    # It starts with a head of zeros, whose answer would be zero whatever the encoder gave.
    nn.init.normal_(module.heads.head.weight, std=0.02)
    return module


def squeezenet() -> torch.jit.ScriptModule:
    return torch.jit.trace(_seeded(models.squeezenet1_1), torch.randn(1, 3, 224, 224))


def shufflenet(path: Path) -> None:
    torch.onnx.export(
        _seeded(models.shufflenet_v2_x0_5),
        (torch.randn(1, 3, 224, 224),),
        str(path),
        input_names=["image"],
        output_names=["classes"],
        dynamic_axes={"image": {0: "batch"}, "classes": {0: "batch"}},
        dynamo=False,
    )


def regnet() -> nn.Module:
    return _seeded(models.regnet_y_400mf)
