"""The registry: finds plugins by entry point, lists their parts without importing them, makes parts.

There is one way in: the entry point group `anybind`. The bundled plugins use it as strangers do.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from anybind import hookspecs
from anybind.errors import BadOption, MissingExtra, NameClash, PluginError, UnknownName, nearest
from anybind.spec import KINDS, Spec

GROUP = "anybind"
CORE_COMMANDS = ("bindings", "cache", "datasets", "embed", "plugins")
"""Commands that are there whatever is installed or switched off, so that a broken environment can be looked at."""
PLURALS = {kind: f"{kind}s" for kind in KINDS} | {"modality": "modalities", "loss": "losses"}


@dataclass(frozen=True, eq=False)  # there is one of each, and they are looked up with every file
class Part:
    """A `Spec` with its kind and the plugin that brought it."""

    kind: str
    spec: Spec
    plugin: str
    distribution: str

    @property
    def name(self) -> str:
        return self.spec.name

    def load(self) -> Any:
        """Import the target and return it: a class or a factory.

        Raises:
            MissingExtra: a package that the part's extra brings is not installed.
            PluginError: the import failed for another reason.
        """
        module, _, attribute = self.spec.target.partition(":")
        try:
            with self.explain_missing_extra():
                return getattr(importlib.import_module(module), attribute)
        except (MissingExtra, KeyboardInterrupt):
            raise
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.distribution} failed to import: "
                f"{type(error).__name__}: {_one_line(error)}"
            ) from error

    def explain_missing_extra(self) -> _ExplainMissingExtra:
        """A context in which a missing package turns into `MissingExtra` with its pip line."""
        return _ExplainMissingExtra(self)


class _ExplainMissingExtra:
    def __init__(self, part: Part) -> None:
        self.part = part

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        part, extra = self.part, self.part.spec.extra
        own_package = part.spec.target.partition(":")[0].partition(".")[0]
        if not (extra and isinstance(error, ModuleNotFoundError) and error.name):
            return
        if error.name.partition(".")[0] != own_package:
            raise MissingExtra(
                f"{part.kind} {part.name!r} needs the package {error.name!r}: "
                f"pip install '{part.distribution}[{extra}]'"
            ) from error


@dataclass(frozen=True)
class Plugin:
    """An installed plugin as found by its entry point, and how loading it went.

    Attributes:
        status: `ok`, `broken` (import or registration raised), `refused` (its name is taken twice)
            or `off` (not among those that `ANYBIND_PLUGINS` names).
        problem: one line that says why, unless the status is `ok`.
    """

    name: str
    distribution: str
    version: str
    status: str = "ok"
    problem: str = ""


@dataclass
class Registry:
    """All parts of all plugins. Most people use the module functions `parts`, `create` and `plugins`.

    Attributes:
        plugins: every plugin found, loaded or not.
    """

    plugins: list[Plugin] = field(default_factory=list)
    _parts: dict[tuple[str, str], list[Part]] = field(default_factory=dict)

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
        if found is None:
            found = entry_points(group=GROUP)
        if only is None:
            only = os.environ.get("ANYBIND_PLUGINS")
        wanted = None if only is None else {_canonical(name) for name in only.split(",") if name.strip()}
        registry = cls()
        # Keyed by owner, since entry points compare equal whatever distribution they are of.
        by_owner = {(point.name, _distribution(point)[0]): point for point in found}
        installed = {_canonical(name) for owner in by_owner for name in owner}
        for name in sorted((wanted or set()) - installed):
            raise UnknownName(f"ANYBIND_PLUGINS names {name!r}, which is not installed{nearest(name, installed)}")
        chosen = {owner for owner in by_owner if wanted is None or {_canonical(name) for name in owner} & wanted}
        for (name, distribution), point in sorted(by_owner.items()):
            plugin = Plugin(name, distribution, _distribution(point)[1])
            rivals = {other for named, other in chosen if named == name}
            if (name, distribution) not in chosen:
                registry._note(plugin, "off", "ANYBIND_PLUGINS does not name it")
            elif len(rivals) > 1:
                registry._note(plugin, "refused", f"{_and(rivals)} both bring a plugin named {name!r}")
            else:
                registry.add(plugin, point.load)
        return registry

    def add(self, plugin: Plugin, load: Callable[[], object]) -> None:
        """Load one plugin and take in its parts; what goes wrong is noted beside it and breaks nothing else."""
        manager = pluggy.PluginManager("anybind")
        manager.add_hookspecs(hookspecs)
        parts: list[Part] = []
        try:
            manager.register(load(), plugin.name)
            manager.check_pending()
            for kind in KINDS:
                _call_hook(manager, kind, plugin, parts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin may not end the program it is listed by
            self._note(plugin, "broken", f"{type(error).__name__}: {_one_line(error)}")
            return
        self._note(plugin, "ok", "")
        for part in parts:
            self._parts.setdefault((part.kind, part.name), []).append(part)
        self._parts = dict(sorted(self._parts.items()))  # parts are listed far more often than added

    def _note(self, plugin: Plugin, status: str, problem: str) -> None:
        self.plugins.append(Plugin(plugin.name, plugin.distribution, plugin.version, status, problem))

    def parts(self, kind: str, pattern: str = "*") -> list[Part]:
        """The parts of a kind whose names match a wildcard pattern, by name; nothing is imported.

        A name that two distributions claim stands in the list once for each.

        Raises:
            UnknownName: there is no such kind.
        """
        if kind not in KINDS:
            raise UnknownName(f"there is no kind of part {kind!r}{nearest(kind, KINDS)}")
        return [
            part
            for (of_kind, name), claims in self._parts.items()
            if of_kind == kind and (pattern == "*" or fnmatch.fnmatchcase(name, pattern))
            for part in claims
        ]

    def clashes(self) -> list[str]:
        """One line for every name, of a part or of a plugin, that more than one distribution claims."""
        refused = {plugin.problem for plugin in self.plugins if plugin.status == "refused"}
        return sorted(refused) + [
            f"{_and(f'{part.distribution} (plugin {part.plugin!r})' for part in claims)} both bring the {kind} {name!r}"
            for (kind, name), claims in self._parts.items()
            if len(claims) > 1
        ]

    def part(self, kind: str, name: str) -> Part:
        """The one part of that kind and name.

        Raises:
            UnknownName: there is none; the message offers the nearest names and tells of plugins that
                were not loaded, since one of those may have brought it.
            NameClash: more than one plugin claims the name.
        """
        claims = self._parts.get((kind, name), [])
        if len(claims) == 1:
            return claims[0]
        if claims:
            owners = _and(f"{part.distribution} (plugin {part.plugin!r})" for part in claims)
            raise NameClash(
                f"{owners} both bring the {kind} {name!r}; uninstall one, or name those to load in ANYBIND_PLUGINS"
            )
        known = {part.name for part in self.parts(kind)}
        raise UnknownName(f"there is no {kind} {name!r}{nearest(name, known)}{self.not_loaded()}")

    def not_loaded(self) -> str:
        """Which plugins were not loaded and why, as the end of an error message; empty when all were."""
        absent = "; ".join(
            f"plugin {plugin.name!r} of {plugin.distribution} is {plugin.status}: {plugin.problem}"
            for plugin in self.plugins
            if plugin.status != "ok"
        )
        return f" (not loaded: {absent})" if absent else ""

    def create(self, kind: str, name: str, /, *args: Any, **options: Any) -> Any:
        """Import the part's target and call it with its options.

        Raises:
            UnknownName, NameClash: as in `part`.
            MissingExtra: a package is missing; the message is the pip line that brings it.
            BadOption: an option that the target does not take, or one that it needs and did not get.
        """
        part = self.part(kind, name)
        target = part.load()
        check_options(f"{kind} {name!r}", target, *args, **options)
        with part.explain_missing_extra():
            return target(*args, **options)


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


def parts(kind: str, pattern: str = "*") -> list[Part]:
    """The installed parts of a kind, by name, importing none of them; see `Registry.parts`."""
    return registry().parts(kind, pattern)


def find_part(kind: str, name: str) -> Part:
    """The one installed part of that kind and name, importing nothing; see `Registry.part` for what is raised."""
    return registry().part(kind, name)


def create(kind: str, name: str, /, *args: Any, **options: Any) -> Any:
    """Make an installed part from its options; see `Registry.create` for what is raised."""
    return registry().create(kind, name, *args, **options)


def plugins() -> list[Plugin]:
    """Every installed plugin, and how loading it went."""
    return list(registry().plugins)


_signature = functools.lru_cache(maxsize=256)(inspect.signature)


def check_options(what: str, target: Callable[..., Any], /, *args: Any, **options: Any) -> None:
    """Raise `BadOption`, with the options there are, unless `target` can be called like this."""
    try:
        signature = _signature(target)
    except TypeError:  # what cannot be hashed, such as a method of a plain dataclass
        signature = inspect.signature(target)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[len(args) :]) or "none"
        raise BadOption(f"{what}: {error} (options: {takes})") from None


def _call_hook(manager: pluggy.PluginManager, kind: str, plugin: Plugin, parts: list[Part]) -> None:
    def register(spec: Spec) -> None:
        if not isinstance(spec, Spec):
            raise PluginError(f"register() takes an anybind.Spec, got {type(spec).__name__}")
        if kind == "command" and spec.name in CORE_COMMANDS:
            raise PluginError(f"the command {spec.name!r} is anybind's own; give yours another name")
        if any(part.kind == kind and part.name == spec.name for part in parts):
            raise PluginError(f"it brings the {kind} {spec.name!r} twice")
        parts.append(Part(kind, spec, plugin.name, plugin.distribution))

    getattr(manager.hook, f"register_{PLURALS[kind]}")(register=register)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else (point.value, "")


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
