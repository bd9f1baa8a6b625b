"""Execution providers: the facts of ONNX Runtime's own, and how a target sets each of them up."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType

_INTEGER = re.compile(r"-?[0-9]+")

OptionValue = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class ProviderFacts:
    """One of ONNX Runtime's own providers; the facts stand in providers.toml.

    `graph_optimization_level` is the one with which ONNX Runtime hands it a model.
    """

    runtime_name: str
    graph_optimization_level: str
    defaults: Mapping[str, str]
    options: tuple[str, ...]
    integers: frozenset[str]
    switches: frozenset[str]
    folders: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A provider in a library of its own, which goes into the bundle with the files it needs.

    `device` says which of the devices that it offers is meant; `needs` are libraries that only
    devices can have, such as a driver's.
    """

    name: str
    library: Path
    files: tuple[Path, ...]
    licenses: tuple[Path, ...] = ()
    device: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where its files lie in project and bundle."""
        return f"lib/plugins/{self.name}"

    @property
    def all_files(self) -> tuple[Path, ...]:
        return (self.library, *self.files)


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider as a target uses it; `plugin` is None for the runtime's own."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    plugin: Plugin | None = None

    @property
    def library(self) -> str:
        """The path of a plugin's library in the bundle; empty for the runtime's own."""
        return f"{self.plugin.folder}/{self.plugin.library.name}" if self.plugin else ""

    @property
    def device(self) -> Mapping[str, str]:
        return self.plugin.device if self.plugin else {}

    @property
    def graph_optimization_level(self) -> str:
        """What ONNX Runtime may do to a model before the provider gets it."""
        return "basic" if self.plugin else load_providers()[self.name].graph_optimization_level

    def record(self) -> dict[str, object]:
        """As it stands in a manifest."""
        return {
            "options": dict(self.options),
            "library": self.library or None,
            "device": dict(self.device),
            "graph_optimization_level": self.graph_optimization_level,
        }


@functools.cache
def load_providers() -> Mapping[str, ProviderFacts]:
    """ONNX Runtime's own providers by our names."""
    text = resources.files("edgesmith").joinpath("providers.toml").read_text(encoding="utf-8")
    return MappingProxyType({
        name: ProviderFacts(
            runtime_name=table["runtime_name"],
            graph_optimization_level=table["graph_optimization_level"],
            defaults=MappingProxyType(table["defaults"]),
            options=tuple(table["options"]),
            integers=frozenset(table["integers"]),
            switches=frozenset(table["switches"]),
            folders=frozenset(table["folders"]),
        )
        for name, table in tomllib.loads(text).items()
    })  # fmt: skip


def with_helpers(name: str) -> tuple[str, ...]:
    """A provider with those that take what it leaves before the cpu does."""
    return (name, "cuda") if name == "tensorrt" else (name,)


def with_cpu(names: Iterable[str]) -> tuple[str, ...]:
    """Providers of a runtime in their order: the cpu is in every one, and takes what is left."""
    return tuple(dict.fromkeys((*(name for name in names if name != "cpu"), "cpu")))


_SWITCH = {"0", "1", "true", "false"}


def option_wish(facts: ProviderFacts, option: str, value: OptionValue) -> str:
    """What the option takes where `value` is none of that; empty where it is."""
    text = option_text(value)
    if option in facts.integers and (isinstance(value, bool) or not _INTEGER.fullmatch(text)):
        return "a whole number"
    if option in facts.switches and text.lower() not in _SWITCH:
        return "true or false"
    if option in facts.folders and not text.startswith("/"):
        return "a folder of the device that starts with /; bench.engine_cache is safer"
    return ""


def option_text(value: OptionValue) -> str:
    """A value of the project file as providers take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
