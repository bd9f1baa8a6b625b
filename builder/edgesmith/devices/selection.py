"""What of the settings a bundle has: its variants and providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgesmith.devices.release import Release
from edgesmith.errors import UsageError
from edgesmith.events import EventStream

if TYPE_CHECKING:
    from edgesmith.project.bench_settings import BenchSettings, VariantName


def available(settings: BenchSettings, release: Release, events: EventStream) -> BenchSettings:
    """The settings with the variants that the bundle has; raises UsageError when it has none."""
    there = [str(v["name"]) for v in release.variants]
    variants = tuple(v for v in _beside_int8(settings.variants, release) if v in there)
    if not variants:
        raise UsageError(
            f"the bundle has none of the variants to measure ({', '.join(settings.variants)})",
            where="bench.variants",
            hint=f"the bundle has: {', '.join(there)}",
        )
    asked = settings.variants if "variants" in settings.model_fields_set else ()
    for missing in sorted(set(asked) - set(variants)):
        events.warning(f"the bundle has no variant '{missing}': it is not measured")
    providers = tuple(p for p in settings.providers if p in release.providers)
    for provider in sorted(set(settings.providers) - set(providers)):
        events.warning(f"the bundle has no provider '{provider}': it is not measured")
    if settings.providers and not providers:
        raise UsageError(
            "the bundle has none of the providers to measure with",
            where="bench.providers",
            hint=f"the bundle has: {', '.join(release.providers)}",
        )
    return settings.model_copy(update={"variants": variants, "providers": providers})


def _beside_int8(variants: Sequence[VariantName], release: Release) -> tuple[VariantName, ...]:
    """On a GPU INT8 pays only where it is faster than FP16: that is always measured with it."""
    if "cuda" not in release.providers or "int8" not in variants or "fp16" in variants:
        return tuple(variants)
    index = variants.index("int8")
    return (*variants[:index], "fp16", *variants[index:])
