"""The execution providers of a target: its platform's, and plugins of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgesmith.platforms import Platform, load_platforms
from edgesmith.project.provider_settings import PluginSettings
from edgesmith.project.settings import ProjectSettings
from edgesmith.project.wording import shown, suggestion
from edgesmith.providers import (
    Plugin,
    Provider,
    load_providers,
    option_text,
    option_wish,
    with_cpu,
)

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
        licenses=tuple(folder / file for file in settings.licenses),
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
    known: dict[str, list[str]] = {}
    for name, target in _table(raw, "targets").items():
        if isinstance(target, Mapping):
            of_platform = _platform_providers(raw, target.get("platform"))
            known[name] = [*dict.fromkeys((*of_platform, *plugins))] if of_platform else []
    for name, names in known.items():
        if names:
            yield from _target_findings(name, _table(raw, "targets")[name], names)
    for name, device in _table(raw, "devices").items():
        target = device.get("target") if isinstance(device, Mapping) else None
        if isinstance(target, str) and known.get(target):
            words = f"target '{target}'"
            yield from _measured_findings(("devices", name), device, words, known[target])
    yield from _measured_by_none(raw, {one for names in known.values() for one in names})


def _measured_by_none(raw: Mapping[str, Any], known: set[str]) -> Iterator[Finding]:
    """`[bench]` is for all targets: each measures by those of the providers that it has."""
    for index, one in _listed(_table(raw, "bench")):
        if known and one not in known:
            words = _where_else(one) or suggestion(one, known)
            finding = f"found {shown(one)}, which no target has; {words}"
            yield ("bench", "providers", index), finding


def _listed(bench: Mapping[str, Any]) -> list[tuple[int, str]]:
    names = bench.get("providers")
    found = enumerate(names if isinstance(names, list) else ())
    return [(index, one) for index, one in found if isinstance(one, str)]


def _measured_findings(
    place: tuple[str, ...], table: Mapping[str, Any], owner: str, known: list[str]
) -> Iterator[Finding]:
    for index, one in _listed(_table(table, "bench")):
        if one not in known:
            yield (*place, "bench", "providers", index), _not_there(one, owner, known)


def _target_findings(name: str, target: Mapping[str, Any], known: list[str]) -> Iterator[Finding]:
    place = ("targets", name)
    platform = f"the platform {target['platform']}"
    named: list[tuple[tuple[str, ...], object]] = [(("provider",), target.get("provider"))]
    named += [(("providers", one), one) for one in _table(target, "providers")]
    for key, one in named:
        if isinstance(one, str) and one not in known:
            yield (*place, *key), _not_there(one, platform, known)
    yield from _measured_findings(place, target, platform, known)
    for one, options in _table(target, "providers").items():
        if one in known and one in load_providers() and isinstance(options, Mapping):
            yield from _option_findings((*place, "providers", one), one, options)


def _option_findings(
    place: tuple[str, ...], provider: str, options: Mapping[str, Any]
) -> Iterator[Finding]:
    facts = load_providers()
    for option, value in options.items():
        if option in facts[provider].options:
            is_value = isinstance(value, str | int | float | bool)
            if is_value and (wish := option_wish(facts[provider], option, value)):
                yield (*place, option), f"found {shown(value)}, takes {wish}"
            continue
        others = [name for name, one in facts.items() if option in one.options]
        if others:
            finding = f"{provider} does not take it; {_each(others, 'does', 'do')}"
        else:
            known = facts[provider].options
            finding = f"unknown option of {provider}; {suggestion(option, known)}"
        yield (*place, option), finding


def _not_there(provider: str, owner: str, known: list[str]) -> str:
    words = f"found {shown(provider)}, which {owner} does not have"
    return f"{words}; {_where_else(provider) or suggestion(provider, known)}"


def _where_else(provider: str) -> str:
    """Which platforms have one of the runtime's own providers; empty for any other name."""
    found = [name for name, one in load_platforms().items() if provider in one.providers]
    return _each(found, "has it", "have it") if found else ""


def _each(names: Sequence[str], one: str, several: str) -> str:
    return f"{' and '.join(names)} {one if len(names) == 1 else several}"


def _platform_providers(raw: Mapping[str, Any], name: object) -> tuple[str, ...]:
    """Those of the platform of this name; none where nobody knows it."""
    own = _table(raw, "platforms").get(str(name))
    base = own.get("base") if isinstance(own, Mapping) else name
    platform = load_platforms().get(str(base))
    if platform is None:
        return ()
    listed = [one for _, one in _listed(own)] if isinstance(own, Mapping) else []
    return with_cpu(listed) if listed else platform.providers


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key, {})
    return value if isinstance(value, Mapping) else {}
