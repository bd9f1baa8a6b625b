"""Calibration: what a model's tensors hold over the calibration data, and the ranges made of it."""
