"""`python -m edgesmith`."""

from edgesmith.cli.main import entry

entry()
