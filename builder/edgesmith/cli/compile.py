"""`edgesmith compile`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli import build
from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Compiles the generated project of each target into its bundle."""
    return build.run(arguments, session)


def describe(done: Any) -> str:
    """Where a bundle lies, its id and its sizes."""
    value = done.value
    return (
        f"{done.folder}\n"
        f"  bundle {value.id[:16]}, {value.platform}, variants {', '.join(value.variants)}"
        f" (default {value.default_variant})\n"
        f"  release {value.release_bytes / 1e6:.1f} MB on the device, archive"
        f" {value.archive} {value.archive_bytes / 1e6:.1f} MB"
    )
