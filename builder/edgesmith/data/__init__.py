"""Calibration and evaluation samples, and the reference outputs all else is judged by."""
