"""`edgesmith generate`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option, run_stages

EXAMPLES = ("edgesmith generate --target host",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Writes the CMake project of each target."""

    def work(pipeline: Any) -> tuple[dict[str, Any], str]:
        from edgesmith.values import to_record

        targets = pipeline.project.target_names(arguments.target)
        pipeline.require_tools(targets)
        done = [pipeline.generated(target) for target in targets]
        records = [{"folder": str(one.folder), **to_record(one.value)} for one in done]
        lines = [f"{one.folder}\n  its README.md tells how to build it by hand" for one in done]
        return {"projects": records}, "\n".join(lines)

    return run_stages(session, work)
