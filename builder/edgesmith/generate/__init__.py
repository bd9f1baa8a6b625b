"""Generating the CMake project that a user can take away."""
