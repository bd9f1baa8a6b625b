"""The model in half precision (FP16), for GPUs."""
