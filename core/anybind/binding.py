"""`Binding`: a named set of encoders and adapters that put several modalities into one space."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path

from anybind.errors import BadOption, PluginError
from anybind.registry import Part, find_part, list_parts
from anybind.spec import BindingSpec
from anybind.tables import check_keys, parse_table, read_toml


@dataclass(frozen=True)
class ConfiguredPart:
    """A registered encoder or adapter with its options, as one table of a binding file says it."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """Which encoders and adapters put which modalities into one space. Making one loads no tower.

    Attributes:
        name: as results show it.
        summary: one line.
        encoders: the encoder of each modality. An option whose value is `@image` stands for the
            binding's own image encoder, so that an event tower can start as its copy.
        space: name of the common space; empty: the space of the encoder listed first.
        adapters: what carries the others there.
    """

    name: str
    encoders: Mapping[str, ConfiguredPart]
    summary: str = ""
    space: str = ""
    adapters: tuple[ConfiguredPart, ...] = ()

    @staticmethod
    def configure(name: str, /, **options: object) -> ConfiguredPart:
        """A registered encoder or adapter with its options, for `encoders` and `adapters`."""
        return ConfiguredPart(name, options)

    @classmethod
    def from_toml(cls, path: Path | Traversable) -> Binding:
        """Read a binding file. Options that begin with `./` or `../` are paths from the file's own folder.

        Raises:
            BadInput: the file cannot be read.
            BadOption: it is no TOML, or has an unknown or a missing key; the message says which.
        """
        where = f"binding {path}"
        file = parse_table(_BindingFile, read_toml(path), where)
        if not file.encoders:
            raise BadOption(f"{where}: encoders is empty; it needs a table [encoders.MODALITY]")
        folder = path.resolve().parent if isinstance(path, Path) else None
        return cls(
            name=file.name,
            summary=file.summary,
            space=file.space,
            encoders={of: _parse_part(f"{where}: encoders.{of}", table, folder) for of, table in file.encoders.items()},
            adapters=tuple(
                _parse_part(f"{where}: adapters.{at}", table, folder) for at, table in enumerate(file.adapters)
            ),
        )


@dataclass(frozen=True)
class _BindingFile:
    """The tables of a binding file."""

    name: str
    encoders: Mapping[str, Mapping[str, object]]
    summary: str = ""
    space: str = ""
    adapters: tuple[Mapping[str, object], ...] = ()


def _parse_part(where: str, table: Mapping[str, object], folder: Path | None) -> ConfiguredPart:
    """A table's encoder or adapter; paths that begin with `./` or `../` lead from the binding file's own folder."""
    check_keys(where, table, allowed=(*table, "use"), required=("use",))
    options = dict(table)
    name = options.pop("use")
    if not isinstance(name, str):
        raise BadOption(f"{where}.use: expected a text, got {name!r}")
    for key, value in options.items():
        if folder is not None and isinstance(value, str):
            path = value.removeprefix("local-dir:")
            if path.startswith(("./", "../")):
                options[key] = f"{value.removesuffix(path)}{folder / path}"
    return ConfiguredPart(name, options)


def find_binding(name: str | os.PathLike[str]) -> Binding:
    """A binding by name, by `name:argument` where it takes one, or by the path of a TOML file.

    Raises:
        UnknownName: no installed binding has that name; the message offers the nearest ones.
        BadInput, BadOption: the TOML file cannot be read or makes no sense.
    """
    text = os.fspath(name)
    if text.endswith(".toml"):
        return Binding.from_toml(Path(text))
    plain, _, argument = text.partition(":")
    part = find_part(BindingSpec, plain)
    return load_binding(part, argument)


def load_binding(part: Part[BindingSpec], argument: str = "") -> Binding:
    """The binding that a registered part stands for: its TOML resource, or what its function makes."""
    module, _, target = part.spec.target.partition(":")
    if not target.endswith(".toml"):
        binding = part.load()(argument)
        if not isinstance(binding, Binding):
            raise PluginError(f"binding {part.name!r} of {part.distribution} made no anybind.Binding")
        return binding
    if argument:
        raise BadOption(f"binding {part.name!r} takes nothing after its name, got {argument!r}")
    return Binding.from_toml(importlib.resources.files(module).joinpath(target))


def list_bindings(pattern: str = "*") -> list[Part[BindingSpec]]:
    """List the installed bindings whose names match a pattern, by name, each with its spec; none is loaded."""
    return list_parts(BindingSpec, pattern)
