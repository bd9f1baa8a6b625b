"""`edgesmith fetch`."""

from __future__ import annotations

import argparse

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option

EXAMPLES = (
    "edgesmith fetch",
    "edgesmith fetch --target host --dry-run",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Downloads what builds of the targets need; afterwards `--offline` works."""
    from edgesmith.compile.prepare import prepare

    project, context = session.project(), session.context
    targets = [project.target(name) for name in project.target_names(arguments.target)]
    wanted = {(target.platform.name, target.toolchain.kind): target for target in targets}
    names = [f"{platform} with {toolchain}" for platform, toolchain in wanted]
    if session.dry_run:
        return Outcome(data={"would_fetch": names}, text=f"would fetch: {', '.join(names)}")
    for target in wanted.values():
        prepare(
            target.platform,
            target.toolchain.kind,
            cache=context.cache.root,
            offline=context.offline,
            events=context.events,
        )
    return Outcome(data={"fetched": names}, text=f"ready: {', '.join(names)}")
