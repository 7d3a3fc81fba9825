"""The registry: finds plugins by entry point, lists their parts without importing them, makes parts.

There is one way in: the entry point group `anybind`. Bundled plugins use it as any other plugin does. A plugin module
declares the version of the contract it was written for, and registers its parts in one hook:

    anybind_contract = 1

    @anybind.plugin.hookimpl
    def register(registry):
        registry.add(EncoderSpec(name="my-encoder", modality="image", summary="...", target="my_plugin:MyEncoder"))
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from typing import Any, TypeVar, overload

import pluggy

from anybind.discovery import contain_import, describe_exception, find_entry_points
from anybind.errors import NameClash, UnknownName, suggest_names
from anybind.hooks import Plugin, Registrar, check_contract, check_result, plugin_manager
from anybind.part import Part, check_options
from anybind.spec import CORE_KINDS, KindSpec, Spec

S = TypeVar("S", bound=Spec)


@dataclass
class Registry:
    """All parts of all plugins. Most people use the module functions `parts`, `create` and `plugins`.

    Attributes:
        plugins: every plugin found, loaded or not.
    """

    plugins: list[Plugin] = field(default_factory=list)
    _parts: dict[str, dict[str, list[Part[Spec]]]] = field(default_factory=dict)
    _manager: pluggy.PluginManager = field(default_factory=plugin_manager)

    @classmethod
    def from_entry_points(cls, found: Iterable[EntryPoint] | None = None, only: str | None = None) -> Registry:
        """Load the plugins of the entry point group `anybind`.

        Args:
            found: the entry points to load; those of the environment by default.
            only: names of distributions (or of single plugins), separated by commas, to load and no
                others; the environment variable `ANYBIND_PLUGINS` by default.

        Raises:
            UnknownName: `only` names what is not installed.
        """
        unreadable = []
        if found is None:
            found, unreadable = find_entry_points()
        if only is None:
            only = os.environ.get("ANYBIND_PLUGINS")
        wanted = None if only is None else {_canonical(name) for name in only.split(",") if name.strip()}
        registry = cls()
        for each in unreadable:
            registry.plugins.append(Plugin("?", each.path, "", status="broken", problem=each.problem))
        # Keyed by owner, since entry points compare equal whatever distribution they are of.
        by_owner = {(point.name, point.dist.name if point.dist else point.value): point for point in found}
        installed = {_canonical(name) for owner in by_owner for name in owner}
        for name in sorted((wanted or set()) - installed):
            raise UnknownName(f"ANYBIND_PLUGINS names {name!r}, which is not installed{suggest_names(name, installed)}")
        chosen = {owner for owner in by_owner if wanted is None or {_canonical(name) for name in owner} & wanted}
        for (name, distribution), point in sorted(by_owner.items()):
            plugin = Plugin(name, distribution, point.dist.version if point.dist else "")
            rivals = {other for named, other in chosen if named == name}
            if (name, distribution) not in chosen:
                off = replace(plugin, status="off", problem="ANYBIND_PLUGINS does not name it")
                registry.plugins.append(off)
            elif len(rivals) > 1:
                problem = f"{_and(rivals)} both bring a plugin named {name!r}"
                registry.plugins.append(replace(plugin, status="refused", problem=problem))
            else:
                registry._load(plugin, point.load)
        registry._settle()
        return registry

    def add(self, plugin: Plugin, load: Callable[[], object]) -> None:
        """Load one plugin and take in its parts; what goes wrong is noted beside it and breaks nothing else.

        Args:
            plugin: name, distribution and version.
            load: imports the plugin's module and returns it.
        """
        self._load(plugin, load)
        self._settle()

    def _load(self, plugin: Plugin, load: Callable[[], object]) -> None:
        registrar = Registrar(plugin)
        try:
            with contain_import():
                module = load()
                check_contract(module)
                self._manager.register(module, plugin.name)
                try:
                    self._manager.check_pending()
                    for hook in self._manager.hook.register.get_hookimpls():
                        if hook.plugin_name == plugin.name:  # one at a time, so that one that raises spoils no other
                            check_result(hook.function(*[registrar for _ in hook.argnames]))
                except BaseException:
                    self._manager.unregister(name=plugin.name)
                    raise
        except Exception as error:
            self.plugins.append(replace(plugin, status="broken", problem=describe_exception(error)))
            return
        self.plugins.append(plugin)
        for (kind, name), part in registrar.parts.items():
            self._parts.setdefault(kind, {}).setdefault(name, []).append(part)

    def _settle(self) -> None:
        """Sort the parts by name, and note beside its plugin every part of a kind that no plugin declares."""
        self._parts = {kind: dict(sorted(named.items())) for kind, named in self._parts.items()}
        for kind in self._parts.keys() - self.kinds().keys() - {"kind"}:
            orphans = [part for claims in self._parts.pop(kind).values() for part in claims]
            for position, plugin in enumerate(self.plugins):
                names = ", ".join(part.name for part in orphans if part.plugin == plugin.name)
                if names and plugin.status == "ok":
                    problem = f"left out {names}: no installed plugin declares the kind {kind!r}"
                    self.plugins[position] = replace(plugin, status="incomplete", problem=problem)

    def kinds(self) -> dict[str, KindSpec]:
        """The kinds of part there are, by name: core's, in the order in which data meets them, then the plugins'."""
        declared = {name: claims[0].spec for name, claims in self._parts.get("kind", {}).items()}
        return {**CORE_KINDS, **{name: spec for name, spec in declared.items() if isinstance(spec, KindSpec)}}

    def named(self, kind: type[Spec] | str) -> Mapping[str, Sequence[Part[Spec]]]:
        """The parts of a kind (by name, or its spec class) by their names; several where a name is claimed twice.

        Raises:
            UnknownName: there is no such kind.
        """
        kind = kind if isinstance(kind, str) else kind.kind
        if kind not in self._parts and kind not in (known := self.kinds()) and kind != "kind":
            raise UnknownName(f"there is no kind of part {kind!r}{suggest_names(kind, known)}")
        return self._parts.get(kind, {})

    def clashes(self) -> list[str]:
        """One line for every name, of a part or of a plugin, that more than one distribution claims."""
        refused = {plugin.problem for plugin in self.plugins if plugin.status == "refused"}
        return sorted(refused) + [
            f"{_and(f'{part.distribution} (plugin {part.plugin!r})' for part in claims)} both bring the {kind} {name!r}"
            for kind, named in self._parts.items()
            for name, claims in named.items()
            if len(claims) > 1
        ]

    def not_loaded(self) -> str:
        """Which plugins were not loaded and why, as the end of an error message; empty when all were."""
        absent = "; ".join(
            f"plugin {plugin.name!r} of {plugin.distribution} is {plugin.status}: {plugin.problem}"
            for plugin in self.plugins
            if plugin.status != "ok"
        )
        return f" (not loaded: {absent})" if absent else ""


_current: Registry | None = None


def registry() -> Registry:
    """The registry in use, loaded from the installed plugins at its first use."""
    global _current
    if _current is None:
        _current = Registry.from_entry_points()
    return _current


def use_registry(new: Registry | None) -> Registry | None:
    """Put another registry in use (None: load afresh at the next use) and return the former one."""
    global _current
    former, _current = _current, new
    return former


@overload
def list_parts(kind: type[S], pattern: str = "*") -> list[Part[S]]: ...


@overload
def list_parts(kind: str, pattern: str = "*") -> list[Part[Spec]]: ...


def list_parts(kind: type[S] | str, pattern: str = "*") -> list[Part[S]] | list[Part[Spec]]:
    """The installed parts of a kind whose names match a wildcard pattern, by name; nothing is imported.

    A name that two distributions claim stands in the list once for each.

    Args:
        kind: the kind by name, or its spec class.
        pattern: as `fnmatch` takes it.

    Raises:
        UnknownName: there is no such kind.
    """
    return [
        part
        for name, claims in registry().named(kind).items()
        if pattern == "*" or fnmatch.fnmatchcase(name, pattern)
        for part in claims
    ]


@overload
def find_part(kind: type[S], name: str) -> Part[S]: ...


@overload
def find_part(kind: str, name: str) -> Part[Spec]: ...


def find_part(kind: type[S] | str, name: str) -> Part[S] | Part[Spec]:
    """The one installed part of that kind (by name, or its spec class) and name, importing nothing.

    Raises:
        UnknownName: there is none; the message offers the nearest names and tells of plugins that were not loaded,
            since one of those may have brought it.
        NameClash: more than one plugin claims the name.
    """
    known = registry().named(kind)
    claims = known.get(name, ())
    if len(claims) == 1:
        return claims[0]
    kind = kind if isinstance(kind, str) else kind.kind
    if claims:
        owners = _and(f"{part.distribution} (plugin {part.plugin!r})" for part in claims)
        raise NameClash(
            f"{owners} both bring the {kind} {name!r}; uninstall one, or name those to load in ANYBIND_PLUGINS"
        )
    raise UnknownName(f"there is no {kind} {name!r}{suggest_names(name, known)}{registry().not_loaded()}")


def create_part(kind: type[Spec] | str, name: str, /, *args: object, **options: object) -> Any:
    """Import an installed part's target and call it with its options.

    Raises:
        UnknownName, NameClash: as `find_part`.
        MissingExtra: a package is missing; the message is the pip line that brings it.
        BadOption: an option that the target does not take, or one that it needs and did not get.
    """
    part = find_part(kind, name)
    target = part.load()
    check_options(f"{part.spec.kind} {name!r}", target, *args, **options)
    with part.explain_missing_extra():
        return target(*args, **options)


def list_plugins() -> list[Plugin]:
    """Every installed plugin, and how loading it went."""
    return list(registry().plugins)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
