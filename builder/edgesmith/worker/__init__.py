"""Runs in a process of its own, with the user's interpreter: nothing here imports edgesmith."""
