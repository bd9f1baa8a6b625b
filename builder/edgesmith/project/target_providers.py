"""The execution providers of a target: its platform's, and plugins of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgesmith.platforms import Platform, load_platforms
from edgesmith.project.provider_settings import PluginSettings
from edgesmith.project.settings import ProjectSettings
from edgesmith.project.wording import shown, suggestion
from edgesmith.providers import Plugin, Provider, load_providers, option_text

Finding = tuple[tuple[int | str, ...], str]


def providers_of(
    target: str, settings: ProjectSettings, platform: Platform, folder: Path
) -> Mapping[str, Provider]:
    """All providers that a target's bundle can use, each with its options; paths are relative to
    `folder`. Plugins are those that the target or its measurements name."""
    own = settings.targets[target]
    found = {}
    for name in platform.providers:
        options = dict(load_providers()[name].defaults)
        found[name] = Provider(name=name, options=_with(options, own.providers.get(name, {})))
    named = {own.provider, *_measured(settings.bench.model_dump(), own.bench)}
    for device in settings.devices.values():
        named |= set(_measured({}, device.bench)) if device.target == target else set()
    for name in sorted(one for one in named if one in settings.plugins):
        plugin = settings.plugins[str(name)]
        options = _with(_with({}, plugin.options), own.providers.get(str(name), {}))
        made = _plugin(str(name), plugin, folder)
        found[str(name)] = Provider(name=str(name), options=options, plugin=made)
    return MappingProxyType(found)


def _measured(*tables: Mapping[str, Any]) -> Iterator[str]:
    for table in tables:
        names = table.get("providers", ())
        yield from (str(name) for name in names)


def _with(options: Mapping[str, str], others: Mapping[str, Any]) -> dict[str, str]:
    return {**options, **{key: option_text(value) for key, value in others.items()}}


def _plugin(name: str, settings: PluginSettings, folder: Path) -> Plugin:
    return Plugin(
        name=name,
        library=folder / settings.library,
        files=tuple(folder / file for file in settings.files),
        device=MappingProxyType(dict(settings.device)),
        needs=settings.needs,
    )


def provider_findings(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Providers that a target's platform has not, and options that a provider does not take.

    Works on the raw values of the project file.
    """
    plugins = _table(raw, "plugins")
    for name in plugins:
        if name in load_providers():
            finding = "ONNX Runtime has a provider of this name; choose another"
            yield ("plugins", name), finding
    somewhere: set[str] = set(plugins)
    for name, target in _table(raw, "targets").items():
        if not isinstance(target, Mapping):
            continue
        known = [*dict.fromkeys((*_platform_providers(raw, target.get("platform")), *plugins))]
        somewhere.update(known)
        if known:
            yield from _target_findings(name, target, known)
    named = _table(raw, "bench").get("providers")
    for index, one in enumerate(named if isinstance(named, list) else ()):
        if isinstance(one, str) and somewhere and one not in somewhere:
            finding = f"found {shown(one)}, which no target has; {suggestion(one, somewhere)}"
            yield ("bench", "providers", index), finding


def _target_findings(name: str, target: Mapping[str, Any], known: list[str]) -> Iterator[Finding]:
    place = ("targets", name)
    named: list[tuple[tuple[int | str, ...], object]] = [(("provider",), target.get("provider"))]
    measured = _table(target, "bench").get("providers")
    if isinstance(measured, list):
        named += [(("bench", "providers", i), one) for i, one in enumerate(measured)]
    named += [(("providers", one), one) for one in _table(target, "providers")]
    for key, one in named:
        if isinstance(one, str) and one not in known:
            words = f"found {shown(one)}, which the platform {target['platform']} does not have"
            yield (*place, *key), f"{words}; {suggestion(one, known)}"
    for one, options in _table(target, "providers").items():
        if one in known and one in load_providers() and isinstance(options, Mapping):
            yield from _option_findings((*place, "providers", one), one, options)


def _option_findings(
    place: tuple[str, ...], provider: str, options: Mapping[str, Any]
) -> Iterator[Finding]:
    facts = load_providers()
    for option in options:
        if option in facts[provider].options:
            continue
        others = [name for name, one in facts.items() if option in one.options]
        if others:
            finding = f"{provider} does not take it; {' and '.join(others)} does"
        else:
            known = facts[provider].options
            finding = f"unknown option of {provider}; {suggestion(option, known)}"
        yield (*place, option), finding


def _platform_providers(raw: Mapping[str, Any], name: object) -> tuple[str, ...]:
    """Those of the platform of this name, or of its base; none where nobody knows it."""
    own = _table(raw, "platforms").get(str(name))
    base = own.get("base") if isinstance(own, Mapping) else name
    platform = load_platforms().get(str(base))
    return platform.providers if platform else ()


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key, {})
    return value if isinstance(value, Mapping) else {}
