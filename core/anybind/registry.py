"""The registry: finds plugins by entry point, lists their parts without importing them, creates parts.

All plugins, bundled ones too, are found by the entry point group `anybind`. A plugin module declares the version of the
contract that it was written for, and registers its parts in one hook:

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
from anybind.errors import NameClash, PluginError, UnknownName, suggest_names
from anybind.hooks import Plugin, Registrar, check_contract, check_result, plugin_manager
from anybind.part import Part
from anybind.part import check_options as check_options
from anybind.spec import CORE_KINDS, KindSpec, Spec

S = TypeVar("S", bound=Spec)


@dataclass
class Registry:
    """All parts of all plugins; see the functions `list_parts`, `find_part`, `create_part` and `list_plugins`.

    Attributes:
        plugins: every installed plugin, loaded or not.
    """

    plugins: list[Plugin] = field(default_factory=list)
    _parts: dict[str, dict[str, list[Part[Spec]]]] = field(default_factory=dict)
    _lists: dict[str, tuple[Part[Any], ...]] = field(default_factory=dict)
    _manager: pluggy.PluginManager = field(default_factory=plugin_manager)

    @classmethod
    def from_entry_points(cls, points: Iterable[EntryPoint] | None = None, only: str | None = None) -> Registry:
        """Load the plugins of the entry point group `anybind`.

        Args:
            points: the entry points to load. [default: those of the environment]
            only: names of the distributions or plugins to load, separated by commas.
                [default: the environment variable `ANYBIND_PLUGINS`, else all]

        Raises:
            UnknownName: a name in `only` is not installed.
        """
        unreadable = []
        if points is None:
            points, unreadable = find_entry_points()
        if only is None:
            only = os.environ.get("ANYBIND_PLUGINS")
        selected = None if only is None else {_normalize_name(name) for name in only.split(",") if name.strip()}
        registry = cls()
        for each in unreadable:
            registry.plugins.append(Plugin("?", each.path, "", status="broken", problem=each.problem))
        # Keyed by owner, since entry points compare equal whatever distribution they are of.
        by_owner = {(point.name, point.dist.name if point.dist else point.value): point for point in points}
        installed = {_normalize_name(name) for owner in by_owner for name in owner}
        for name in sorted((selected or set()) - installed):
            raise UnknownName(f"ANYBIND_PLUGINS names {name!r}, which is not installed{suggest_names(name, installed)}")
        owners = {
            owner for owner in by_owner if selected is None or {_normalize_name(name) for name in owner} & selected
        }
        for (name, distribution), point in sorted(by_owner.items()):
            plugin = Plugin(name, distribution, point.dist.version if point.dist else "")
            rivals = {other for named, other in owners if named == name}
            if (name, distribution) not in owners:
                off = replace(plugin, status="off", problem="ANYBIND_PLUGINS does not name it")
                registry.plugins.append(off)
            elif len(rivals) > 1:
                problem = f"{_join_names(rivals)} both bring a plugin named {name!r}"
                registry.plugins.append(replace(plugin, status="refused", problem=problem))
            else:
                registry._load(plugin, point.load)
        registry._finish_loading()
        return registry

    def add(self, plugin: Plugin, load: Callable[[], object]) -> None:
        """Load a plugin and add its parts; an error becomes its status and affects no other plugin.

        Args:
            plugin: name, distribution and version.
            load: imports the plugin's module and returns it.
        """
        self._load(plugin, load)
        self._finish_loading()

    def _load(self, plugin: Plugin, load: Callable[[], object]) -> None:
        registrar = Registrar(plugin)
        try:
            with contain_import():
                module = load()
                check_contract(module)
                self._manager.register(module, plugin.name)
                try:
                    self._manager.check_pending()
                    hooks = [
                        each for each in self._manager.hook.register.get_hookimpls() if each.plugin_name == plugin.name
                    ]
                    if not hooks:
                        raise PluginError("it has no hook: expected a function `register` decorated with @hookimpl")
                    for hook in hooks:  # those of one plugin, so that an error affects no other
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

    def _finish_loading(self) -> None:
        """Sort the parts by name, and mark plugins with parts of an undeclared kind as incomplete."""
        self._parts = {kind: dict(sorted(named.items())) for kind, named in self._parts.items()}
        self._lists.clear()
        for kind in self._parts.keys() - self.kinds().keys() - {"kind"}:
            orphans = [part for claims in self._parts.pop(kind).values() for part in claims]
            for position, plugin in enumerate(self.plugins):
                names = ", ".join(part.name for part in orphans if part.plugin == plugin.name)
                if names and plugin.status == "ok":
                    problem = f"left out {names}: no installed plugin declares the kind {kind!r}"
                    self.plugins[position] = replace(plugin, status="incomplete", problem=problem)

    def kinds(self) -> dict[str, KindSpec]:
        """Return the kinds of part by name: core's, in the order of the data flow, then those of plugins."""
        declared = {name: claims[0].spec for name, claims in self._parts.get("kind", {}).items()}
        return {**CORE_KINDS, **{name: spec for name, spec in declared.items() if isinstance(spec, KindSpec)}}

    def get_parts(self, kind: type[Spec] | str) -> Mapping[str, Sequence[Part[Spec]]]:
        """Return the parts of a kind (a name or a spec class) by name; several if a name is registered twice.

        Raises:
            UnknownName: there is no such kind.
        """
        kind = kind if isinstance(kind, str) else kind.kind
        if kind not in self._parts and kind not in (kinds := self.kinds()) and kind != "kind":
            raise UnknownName(f"there is no kind of part {kind!r}{suggest_names(kind, kinds)}")
        return self._parts.get(kind, {})

    def list_parts(self, kind: type[S] | str) -> tuple[Part[S], ...]:
        """Return the parts of a kind by name, always the same tuple: it is listed for every file.

        Raises:
            UnknownName: there is no such kind.
        """
        name = kind if isinstance(kind, str) else kind.kind
        if name not in self._lists:
            self._lists[name] = tuple(part for claims in self.get_parts(name).values() for part in claims)
        return self._lists[name]

    def list_clashes(self) -> list[str]:
        """Return one line for every name of a part or plugin that more than one distribution registers."""
        refused = {plugin.problem for plugin in self.plugins if plugin.status == "refused"}
        return sorted(refused) + [
            f"{_join_owners(claims)} both bring the {kind} {name!r}"
            for kind, parts in self._parts.items()
            for name, claims in parts.items()
            if len(claims) > 1
        ]

    def describe_not_loaded(self) -> str:
        """Return the plugins that are not loaded, with reasons, as the end of an error message; empty if all are."""
        absent = "; ".join(
            f"plugin {plugin.name!r} of {plugin.distribution} is {plugin.status}: {plugin.problem}"
            for plugin in self.plugins
            if plugin.status != "ok"
        )
        return f" (not loaded: {absent})" if absent else ""


_current: Registry | None = None


def registry() -> Registry:
    """Return the registry in use, loaded from the installed plugins at its first use."""
    global _current
    if _current is None:
        _current = Registry.from_entry_points()
    return _current


def use_registry(new: Registry | None) -> Registry | None:
    """Use another registry (None: load it again at the next use) and return the former one."""
    global _current
    former, _current = _current, new
    return former


@overload
def list_parts(kind: type[S], pattern: str = "*") -> list[Part[S]]: ...


@overload
def list_parts(kind: str, pattern: str = "*") -> list[Part[Spec]]: ...


def list_parts(kind: type[S] | str, pattern: str = "*") -> list[Part[S]] | list[Part[Spec]]:
    """List the installed parts of a kind whose names match a wildcard pattern, by name, without importing them.

    A name that two distributions register is listed twice.

    Args:
        kind: the kind by name, or its spec class.
        pattern: a pattern of `fnmatch`.

    Raises:
        UnknownName: there is no such kind.
    """
    parts = registry().list_parts(kind)
    return list(parts) if pattern == "*" else [part for part in parts if fnmatch.fnmatchcase(part.name, pattern)]


@overload
def find_part(kind: type[S], name: str) -> Part[S]: ...


@overload
def find_part(kind: str, name: str) -> Part[Spec]: ...


def find_part(kind: type[S] | str, name: str) -> Part[S] | Part[Spec]:
    """Find an installed part by kind (a name or a spec class) and name, without importing it.

    Raises:
        UnknownName: there is none; the message suggests the nearest names and lists plugins that are not loaded, since
            one of them may have the part.
        NameClash: more than one plugin registers the name.
    """
    parts = registry().get_parts(kind)
    claims = parts.get(name, ())
    if len(claims) == 1:
        return claims[0]
    kind = kind if isinstance(kind, str) else kind.kind
    if claims:
        remedy = "uninstall one, or name those to load in ANYBIND_PLUGINS"
        raise NameClash(f"{_join_owners(claims)} both bring the {kind} {name!r}; {remedy}")
    raise UnknownName(f"there is no {kind} {name!r}{suggest_names(name, parts)}{registry().describe_not_loaded()}")


def create_part(kind: type[Spec] | str, name: str, /, *args: object, **options: object) -> Any:
    """Import an installed part's target and call it with options.

    Raises:
        UnknownName, NameClash: as `find_part`.
        MissingExtra: a package is not installed; the message has the pip line.
        BadOption: an option that the target does not take, or a required one that is missing.
        PluginError: the import failed, or the target raised an unexpected error.
    """
    return find_part(kind, name).create(*args, **options)


def list_plugins() -> list[Plugin]:
    """List the installed plugins with their status."""
    return list(registry().plugins)


def _normalize_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _join_names(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _join_owners(parts: Iterable[Part[Spec]]) -> str:
    return _join_names(f"{part.distribution} (plugin {part.plugin!r})" for part in parts)
