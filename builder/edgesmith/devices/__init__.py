"""Devices: how they are reached, what is installed there, and how they are measured."""
