"""Runs a model on each image of an .npy file and writes its outputs to another one."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime

model, images, output = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry(
    "optimization.disable_specified_optimizers", "WeightBiasQuantization"
)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
found = [session.run(None, {name: image[None]})[0] for image in np.load(images)]
np.save(output, np.concatenate(found))
