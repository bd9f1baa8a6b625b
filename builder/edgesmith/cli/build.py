"""`edgesmith build`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option, run_stages

EXAMPLES = (
    "edgesmith build",
    "edgesmith build --target all --dry-run",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Makes the bundle of each target, whatever of it is not there yet."""

    def work(pipeline: Any) -> tuple[dict[str, Any], str]:
        from edgesmith.values import to_record

        targets = pipeline.project.target_names(arguments.target)
        pipeline.require_downloads(targets)
        done = [pipeline.bundle(target) for target in targets]
        records = [{"folder": str(one.folder), **to_record(one.value)} for one in done]
        return {"bundles": records}, "\n".join(describe(one) for one in done)

    return run_stages(session, work)


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
