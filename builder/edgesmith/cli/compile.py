"""`edgesmith compile`."""

from __future__ import annotations

import argparse

from edgesmith.cli import build
from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option

EXAMPLES = ("edgesmith compile --target host",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Compiles the generated project of each target into its bundle."""
    return build.run(arguments, session)
