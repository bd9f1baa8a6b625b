"""`[bench]`: what the harness measures, and in which way it asks for inferences."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from edgesmith.project.fields import CPU_LIST, ENGINE_CACHE, Name, Positive, Section

VariantName = Literal["fp32", "fp16", "int8", "int8-dynamic"]
ScenarioKind = Literal["single-stream", "offline", "fixed-rate", "soak"]
# The key that each kind needs; the others have no meaning for it.
_NEEDS = {"single-stream": None, "offline": "streams", "fixed-rate": "rate_hz", "soak": "seconds"}


class ScenarioSettings(Section):
    """One way to ask for inferences, such as `{ kind = "fixed-rate", rate_hz = 30 }`.

    `single-stream`: one after another. `offline`: several streams at once, for throughput.
    `fixed-rate`: frames arrive on a schedule, as from a camera; latency counts from a frame's
    arrival, frames wait in a queue, none is dropped, and one that has not ended when the next
    arrives is late. `soak`: a single stream for long, with latency and memory over time, in one
    process.
    """

    kind: ScenarioKind = Field(
        "single-stream", description="In which way inferences are asked for."
    )
    streams: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="For `offline`: threads that each run inferences on one loaded model."
    )
    rate_hz: Annotated[float, Field(ge=0.001, le=1_000_000)] | None = Field(
        None, description="For `fixed-rate`: frames per second."
    )
    seconds: Annotated[float, Field(gt=0, le=604_800)] | None = Field(
        None, description="For `soak`: how long."
    )

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> Self:
        needed = _NEEDS[self.kind]
        for key in ("streams", "rate_hz", "seconds"):
            if key == needed and getattr(self, key) is None:
                raise ValueError(f"{key} = NUMBER, which kind '{self.kind}' needs")
            if key != needed and getattr(self, key) is not None:
                raise ValueError(f"no {key}, which has no meaning for kind '{self.kind}'")
        return self

    @property
    def name(self) -> str:
        """As the harness's `--scenario` takes it and its reports call it."""
        needed = _NEEDS[self.kind]
        return self.kind if needed is None else f"{self.kind}:{getattr(self, needed):.10g}"


class BenchSettings(Section):
    """What the harness measures; every combination of scenario, shape, threads and variant is a
    run.
    """

    scenarios: Annotated[tuple[ScenarioSettings, ...], Field(min_length=1)] = Field(
        (ScenarioSettings(kind="single-stream"),),
        description="In which ways inferences are asked for.",
        strict=False,
    )
    shapes: Annotated[tuple[dict[str, Positive], ...], Field(min_length=1)] = Field(
        ({},), description="Values of dynamic dimensions; those not named are 1.", strict=False
    )
    threads: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)] = (
        Field((1,), description="Intra-op threads.", strict=False)
    )
    variants: Annotated[tuple[VariantName, ...], Field(min_length=1)] = Field(
        ("fp32", "fp16", "int8", "int8-dynamic"),
        description="The first is the baseline of comparisons; by default all that there are. On a"
        " GPU fp16 is always measured beside int8.",
        strict=False,
    )
    providers: tuple[Name, ...] = Field(
        (),
        description="Execution providers to measure each variant with, such as `cuda` and"
        " `tensorrt`; default: each variant's own.",
        strict=False,
    )
    require_provider: bool = Field(
        False,
        description="Whether a run fails, with exit 8, unless its provider runs all nodes.",
    )
    engine_cache: Annotated[str, StringConstraints(pattern=ENGINE_CACHE)] | None = Field(
        None,
        description="An absolute folder on the device in which openvino and tensorrt keep compiled"
        ' engines for a faster start, or "off"; default: for tensorrt the user\'s cache folder'
        " there, off for others.",
    )
    min_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        5.0, description="Least time of steady measuring in each process."
    )
    min_iterations: Positive = Field(200, description="Least timed inferences in each process.")
    processes: Annotated[int, Field(ge=1, le=100)] = Field(
        3, description="Fresh processes for each run."
    )
    cpus: Annotated[str, StringConstraints(pattern=CPU_LIST)] | None = Field(
        None,
        description="CPUs to run on, such as `0-3` or `0,2`; default: all that the harness has.",
    )
    spinning: bool | None = Field(
        None,
        description="Whether idle intra-op threads wait actively: lower latency for more power;"
        " default: the runtime decides.",
    )
    arena: bool = Field(
        True,
        description="Whether the runtime keeps freed memory for the next inference: faster, and"
        " more memory.",
    )

    @field_validator("scenarios", "shapes", "threads", "variants", "providers")
    @classmethod
    def _each_once(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if any(one in value[:index] for index, one in enumerate(value)):
            raise ValueError("each entry once")
        return value
