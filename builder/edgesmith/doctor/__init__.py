"""Looks for what the job needs, and says how to get what is missing."""
