"""What a target's providers need of NVIDIA's products on a device."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from edgesmith.platforms import Platform
from edgesmith.project.project import Device, Target
from edgesmith.providers import with_helpers

JETPACK = "JetPack 7 (nvidia-jetpack)"
_CLAUSE = re.compile(r"(>=|<=|==|>|<)(\d+(?:\.\d+)*)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Product:
    """One of NVIDIA's products; the facts stand in products.toml."""

    name: str
    libraries: tuple[str, ...]
    debian: str

    def owns(self, library: str) -> bool:
        """Whether the library of this file name is one of its own."""
        return library.partition(".so")[0] in self.libraries

    def tells_version(self, library: str) -> bool:
        return library.partition(".so")[0] == self.libraries[0]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a target needs of a product on its devices.

    `spec` are the versions that fit; `used` whether a variant or a measurement runs on a provider
    that takes it; `instead` the providers that do without it, in the order of preference.
    """

    product: Product
    spec: str
    libraries: tuple[str, ...]
    used: bool
    instead: tuple[str, ...]
    how: str


@functools.cache
def load_products() -> Mapping[str, Product]:
    """All products by name, in the order in which they are installed."""
    text = resources.files("edgesmith.doctor").joinpath("products.toml").read_text("utf-8")
    return MappingProxyType({
        name: Product(name=name, libraries=tuple(table["libraries"]), debian=table["debian"])
        for name, table in tomllib.loads(text).items()
    })  # fmt: skip


def fits(version: str, spec: str) -> bool:
    """Whether a version such as 13.0.96 is within a specification such as `>=13,<14`."""
    return all(_meets(_numbers(version), *clause) for clause in _clauses(spec))


def lowest(spec: str) -> str:
    """The lowest version that a specification names."""
    return next((version for sign, version in _clauses(spec) if sign in (">=", "==")), "")


def needs_of(target: Target, device: Device) -> Iterator[Need]:
    """One for each product that a provider of the target's platform takes."""
    platform = target.platform
    drivers = {name: one for name, one in platform.drivers.items() if name in platform.providers}
    used = _used(target, device)
    cuda = next((lowest(one.products["CUDA"]) for one in drivers.values()), "")
    for product in load_products().values():
        takers = {name: one for name, one in drivers.items() if product.name in one.products}
        if not takers:
            continue
        of_used = {name: one for name, one in takers.items() if name in used}
        facts = tuple((of_used or takers).values())
        libraries = {one for fact in facts for one in fact.libraries if product.owns(one)}
        spec = ",".join(dict.fromkeys(fact.products[product.name] for fact in facts))
        yield Need(
            product=product,
            spec=spec,
            libraries=tuple(sorted(libraries)),
            used=bool(of_used),
            instead=tuple(one for one in platform.providers if one not in takers),
            how=_how(product, spec, cuda, platform),
        )


def _used(target: Target, device: Device) -> set[str]:
    """The providers of its variants and measurements, with those that they hand nodes to."""
    own = {target.provider_of(one).name for one in ("fp32", target.quantize.precision)}
    return {one for name in (own | set(device.bench.providers)) for one in with_helpers(name)}


def _how(product: Product, spec: str, cuda: str, platform: Platform) -> str:
    packages = product.debian.format(version=lowest(spec), cuda=cuda)
    places = [f"on Debian and Ubuntu NVIDIA's packages {packages}"]
    if platform.elf.machine == "EM_AARCH64":
        places.insert(0, f"on a Jetson {JETPACK}")
    return f"install {product.name} {spec}: {', '.join(places)}"


def _clauses(spec: str) -> list[tuple[str, str]]:
    """Raises ValueError for a specification of another form: a bug in platforms.toml."""
    found = [_CLAUSE.fullmatch(clause.strip()) for clause in spec.split(",")]
    if not all(found):
        raise ValueError(f"no specification of versions: {spec}")
    return [(one[1], one[2]) for one in found if one]


def _meets(version: tuple[int, ...], sign: str, bound: str) -> bool:
    other = _numbers(bound)
    length = max(len(version), len(other))
    left = version + (0,) * (length - len(version))
    right = other + (0,) * (length - len(other))
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        ">": left > right,
        "<": left < right,
    }[sign]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
