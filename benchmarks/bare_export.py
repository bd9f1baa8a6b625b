"""What a user runs without edgesmith: one of PyTorch's exporters, or onnxsim.

`bare_export.py dynamo|torchscript OUT`, `bare_export.py onnxsim IN OUT`. Prints the seconds of the
work itself, without those of the imports.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Runs the exporter or onnxsim that the arguments name."""
    kind, *paths = sys.argv[1:]
    if kind == "onnxsim":
        import onnx
        import onnxsim

        started = time.perf_counter()
        simplified, _ = onnxsim.simplify(onnx.load(paths[0]), check_n=0)
        onnx.save(simplified, paths[1])
    else:
        import torch
        from resnet50 import build

        module = build().eval()
        image = torch.randn(2, 3, 224, 224)
        started = time.perf_counter()
        options = (
            {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
            if kind == "dynamo"
            else {"dynamo": False, "dynamic_axes": {"image": {0: "batch"}}}
        )
        torch.onnx.export(
            module, (image,), paths[0], input_names=["image"], opset_version=20, **options
        )
    print(f"{time.perf_counter() - started:.3f}")


if __name__ == "__main__":
    main()
