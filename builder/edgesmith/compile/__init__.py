"""Compiling: downloads, Conan and CMake."""
