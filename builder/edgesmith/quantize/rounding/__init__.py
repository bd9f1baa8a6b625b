"""Weights to integers: each to the neighbour with which the layer's outputs stay closest."""
