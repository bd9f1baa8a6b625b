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
        pipeline.require_tools(targets)
        done = [pipeline.bundle(target) for target in targets]
        records = [{"folder": str(one.folder), **to_record(one.value)} for one in done]
        return {"bundles": records}, "\n".join(describe(one) for one in done)

    return run_stages(session, work)


def describe(done: Any) -> str:
    """Where a bundle lies, its id, and how large its parts are."""
    from edgesmith.report.numbers import format_bytes
    from edgesmith.report.plain import pad

    value = done.value
    size = value.size
    rows = [(one.part, one.bytes, "" if one.on_device else "for bench only") for one in size.parts]
    rows += [("release", size.release_bytes, "on the device")]
    rows += [("archive", size.archive_bytes, value.archive)]
    width = max(len(part) for part, _, _ in rows)
    lines = [f"  {pad(p, width)}  {format_bytes(b):>7}  {note}".rstrip() for p, b, note in rows]
    largest = ", ".join(f"{one.path} {format_bytes(one.bytes)}" for one in size.largest)
    return "\n".join([
        f"{done.folder}",
        f"  bundle {value.id[:16]}, {value.platform}, variants {', '.join(value.variants)}"
        f" (default {value.default_variant})",
        *lines,
        f"  largest: {largest}",
    ])  # fmt: skip
