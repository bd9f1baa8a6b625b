"""The harness on a device: its command line, its progress, and what is left when it dies."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from edgesmith.devices.release import Release
from edgesmith.events import EventStream, Progress
from edgesmith.project.bench_settings import BenchSettings, ScenarioSettings
from edgesmith.report.plain import clean

HARNESS = "bin/harness"
_PROCESS_STARTS = re.compile(r"harness: process \d+ of \d+: ")
_FIXED_S = 600.0
_PER_PROCESS_S = 300.0
_PER_ITERATION_S = 5.0


@dataclass(frozen=True, kw_only=True)
class HarnessRequest:
    """One call of `harness bench`; the file names are absolute paths on the device.

    With an `outputs_folder`, which is there, each variant's outputs go into it.
    """

    program: str
    report: str
    samples: str
    settings: BenchSettings
    id_salt: str
    emulated: bool = False
    parent_pid: int | None = None
    profile: bool = False
    outputs_folder: str | None = None

    def argv(self) -> list[str]:
        """The command line; every value is an argument of its own."""
        settings = self.settings
        argv = [self.program, "bench"]
        for variant in settings.variants:
            argv += ["--variant", variant]
        for provider in settings.providers:
            argv += ["--provider", provider]
        argv += ["--require-provider"] if settings.require_provider else []
        argv += ["--engine-cache", settings.engine_cache] if settings.engine_cache else []
        argv += ["--threads", ",".join(str(n) for n in settings.threads)]
        for shape in complete_shapes(settings):
            if shape:
                argv += ["--shape", ",".join(f"{k}={v}" for k, v in shape.items())]
        for scenario in settings.scenarios:
            argv += ["--scenario", scenario.name]
        argv += ["--cpus", settings.cpus] if settings.cpus else []
        if settings.spinning is not None:
            argv += ["--spinning", _switch(settings.spinning)]
        argv += [] if settings.arena else ["--arena", "off"]
        argv += ["--profile"] if self.profile else []
        argv += ["--min-seconds", f"{settings.min_seconds:g}"]
        argv += ["--min-iterations", str(settings.min_iterations)]
        argv += ["--processes", str(settings.processes)]
        argv += ["--id-salt", self.id_salt]
        argv += ["--emulated"] if self.emulated else []
        if self.parent_pid is not None:
            argv += ["--end-with-parent", str(self.parent_pid)]
        argv += ["--outputs-folder", self.outputs_folder] if self.outputs_folder else []
        return [*argv, "--json", self.report, "--samples-out", self.samples]


def _switch(value: bool) -> str:
    return "on" if value else "off"


def complete_shapes(settings: BenchSettings) -> tuple[dict[str, int], ...]:
    """The shapes, each naming every dimension that any of them names; those left out are 1."""
    names = sorted({name for shape in settings.shapes for name in shape})
    complete = [tuple((name, shape.get(name, 1)) for name in names) for shape in settings.shapes]
    return tuple(dict(shape) for shape in dict.fromkeys(complete))


def run_count(settings: BenchSettings) -> int:
    """Every combination of scenario, shape, threads and variant is a run."""
    return len(settings.scenarios) * _runs_of_scenario(settings)


def _runs_of_scenario(settings: BenchSettings) -> int:
    variants = len(settings.variants) * max(1, len(settings.providers))
    return len(complete_shapes(settings)) * len(settings.threads) * variants


def process_count(settings: BenchSettings) -> int:
    """How many processes measure: a soak has one, other runs as many as the settings say."""
    each = sum(1 if s.kind == "soak" else settings.processes for s in settings.scenarios)
    return _runs_of_scenario(settings) * each


def expected_limit_s(settings: BenchSettings) -> float:
    """Generous: a harness that takes longer hangs, it does not measure."""
    one = max(_PER_PROCESS_S, 10 * settings.min_seconds, _PER_ITERATION_S * settings.min_iterations)
    soaking = sum(2 * s.seconds for s in settings.scenarios if s.seconds is not None)
    return _FIXED_S + process_count(settings) * one + _runs_of_scenario(settings) * soaking


def progress_to(events: EventStream, settings: BenchSettings) -> Callable[[str], None]:
    """Counts the lines by which the harness tells that it starts a measuring process."""
    total = process_count(settings)
    started = itertools.count()

    def on_line(line: str) -> None:
        if _PROCESS_STARTS.match(line):
            done = min(next(started), total)
            events.emit(Progress(stage="bench", done=done, total=total, unit="processes measured"))

    return on_line


@dataclass(frozen=True, kw_only=True)
class Death:
    """How a harness ended that left no report."""

    message: str
    exit_status: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, returncode: int, output: str) -> Death:
        """From how the process ended; the end of its output goes into the message."""
        lines = [clean(line) for line in output.splitlines() if line.strip()]
        said = f"; it said: {' | '.join(lines[-5:])}" if lines else ""
        left = "and left no report that can be read"
        if returncode < 0:
            ending = f"the harness was ended by signal {-returncode} {left}{said}"
            return cls(message=ending, signal=-returncode)
        ending = f"the harness ended with exit status {returncode} {left}{said}"
        return cls(message=ending, exit_status=returncode)

    def record(self, code: int) -> dict[str, Any]:
        """As the `error` of a report."""
        return {
            "stage": "harness",
            "message": self.message,
            "code": code,
            "exit_status": self.exit_status,
            "signal": self.signal,
        }


def report_of_death(
    release: Release,
    settings: BenchSettings,
    death: Death,
    *,
    exit_code: int,
    machine: str,
    started_at: str,
) -> dict[str, Any]:
    """A valid report in which every requested run failed, with the harness's end as the error."""
    error = death.record(exit_code)
    runs = [
        _failed_run(variant, provider, threads, shape, scenario, settings, release, error)
        for scenario, shape, threads, variant in product(
            settings.scenarios, complete_shapes(settings), settings.threads, settings.variants
        )
        for provider in settings.providers or (_own_provider(variant, release),)
    ]
    return {
        "schema_version": "1.0",
        "kind": "edgesmith-report",
        "context": _context(release, death, machine, started_at),
        "runs": runs,
        "comparisons": [],
        "error": error,
        "exit_code": exit_code,
    }


def _own_provider(variant: str, release: Release) -> str:
    described = next((v for v in release.variants if v.get("name") == variant), {})
    return str(described.get("provider", "cpu"))


def _failed_run(
    variant: str,
    provider: str,
    threads: int,
    shape: Mapping[str, int],
    scenario: ScenarioSettings,
    settings: BenchSettings,
    release: Release,
    error: Mapping[str, Any],
) -> dict[str, Any]:
    parts = [variant, provider, f"threads={threads}"]
    parts += [f"{name}={size}" for name, size in sorted(shape.items())]
    return {
        "key": "/".join([*parts, scenario.name]),
        "requested": {
            "variant": variant,
            "provider": provider,
            "threads": threads,
            "shapes": dict(shape),
            "scenario": scenario.name,
            "require_provider": settings.require_provider,
            "min_seconds": settings.min_seconds,
            "min_iterations": settings.min_iterations,
            "processes": 1 if scenario.kind == "soak" else settings.processes,
        },
        "effective": None,
        "processes": [],
        "latency": None,
        "throughput_per_s": None,
        "accuracy": None,
        "reference": None,
        "profile": None,
        "verdict": "failed",
        "conditions": [],
        "error": dict(error),
    }


def _context(release: Release, death: Death, machine: str, started_at: str) -> dict[str, Any]:
    unknown = ("id", "model", "cpu", "memory_bytes", "kernel", "libc", "governor", "virtualization")
    return {
        "device": {
            **dict.fromkeys(unknown),
            "architecture": machine,
            "isa_features": [],
            "cores": 0,
            "reasons": dict.fromkeys((*unknown, "isa_features", "cores"), death.message),
        },
        "bundle": {
            "id": release.id,
            "model": release.model,
            "version": release.version,
            "target": release.target,
            "variants": [_variant(v, release) for v in release.variants],
        },
        "runtime": {
            "name": str(release.runtime.get("name", "onnxruntime")),
            "version": str(release.runtime.get("version", "")),
            "providers": [],
        },
        "harness": {"version": "unknown"},
        "clock": {"name": "unknown", "resolution_ns": 0, "cost_ns": 0},
        "metrics": list(release.metrics),
        "started_at": started_at,
    }


def _variant(variant: Mapping[str, Any], release: Release) -> dict[str, Any]:
    file = release.file(str(variant["path"]))
    beside = [release.file(str(path)).bytes for path in variant.get("data", ())]
    return {
        "name": str(variant["name"]),
        "sha256": file.sha256,
        "bytes": file.bytes + sum(beside),
        "precision": variant.get("precision"),
        "encoding": variant.get("encoding"),
    }
