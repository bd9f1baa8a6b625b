"""What the building verbs share: the target option, the dry run and the list of stages."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.events import Event, StageFinished


def add_target_option(parser: argparse.ArgumentParser) -> None:
    """--target, which may be given several times; `all` names all."""
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="TARGET",
        help="target of the project file (may repeat; 'all'; default: [defaults] targets)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """--device, which may be given several times; `all` names all."""
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="D",
        help="a device of the project; may repeat; 'all' names all",
    )


class StageLog:
    """Collects what became of each stage, for `--format json`."""

    def __init__(self, session: Session) -> None:
        self.stages: list[dict[str, Any]] = []
        session.events.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, StageFinished):
            self.stages.append(asdict(event))

    @property
    def ran(self) -> list[str]:
        """The names of the stages that had to run."""
        return [str(s["stage"]) for s in self.stages if s["status"] != "cached"]

    def summary(self) -> str:
        """One sentence on what was done."""
        if not self.stages:
            return "Nothing to do."
        if not self.ran:
            return f"Nothing to do: all {len(self.stages)} stages were served from the cache."
        if len(self.ran) == len(self.stages):
            return f"All {len(self.stages)} stages ran."
        return f"{len(self.ran)} of {len(self.stages)} stages ran, the others were cached."


def run_stages(
    session: Session,
    work: Callable[[Any], tuple[dict[str, Any], str]],
    *,
    target: str | None = None,
) -> Outcome:
    """Runs `work` on the project's pipeline under its lock; in a dry run only looks."""
    from edgesmith.files import require_writable
    from edgesmith.pipeline import Pipeline, WouldRun, project_lock

    log = StageLog(session)
    project, context = session.project(), session.context
    pipeline = Pipeline(project=project, context=context, dry_run=session.dry_run)
    if session.dry_run:
        try:
            work(pipeline)
        except WouldRun as stage:
            text = f"would run: {stage} and what depends on it"
            return Outcome(data={"stages": log.stages, "would_run": str(stage)}, text=text)
        return Outcome(data={"stages": log.stages, "would_run": None}, text=log.summary())
    require_writable(context.cache.root)
    with project_lock(project, context):
        data, text = work(pipeline)
    text = "\n".join(part for part in (text, log.summary()) if part)
    return Outcome(data={**data, "stages": log.stages}, text=text)
