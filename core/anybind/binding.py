"""`Binding`: a named set of encoders and adapters that embed several modalities into one space."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol

from anybind.adapter import Adapter
from anybind.discovery import describe_exception
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadOption, PluginError
from anybind.registry import Part, find_part, list_parts
from anybind.spec import BindingSpec, EncoderSpec
from anybind.tables import check_keys, parse_table, read_toml


@dataclass(frozen=True)
class ConfiguredPart:
    """A registered encoder or adapter with its options: one table of a binding file."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)


class BindingCheck(Protocol):
    """A check of the parts of a binding when they are loaded; it can be pickled, for processes that load them too."""

    def check_encoder(self, modality: str, encoder: Encoder) -> None:
        """Raise `WeightsMismatch` unless this is the expected encoder, in float32 and on its device."""
        ...

    def check_adapters(self, adapters: Sequence[Adapter]) -> None:
        """Raise `WeightsMismatch` unless these are the expected adapters."""
        ...


@dataclass(frozen=True)
class Binding:
    """A named set of encoders and adapters for one common space. Creating one loads no encoder.

    Attributes:
        name: name in results.
        summary: one line.
        encoders: the encoder of each modality. An option with the value `@image` refers to the binding's own image
            encoder, so that an event encoder can start as its copy.
        space: name of the common space; empty for the space of the first encoder.
        adapters: adapters from the other spaces to the common space.
        checks: checks of the encoders and adapters when they are loaded.
        facts: what `anybind bindings NAME` shows beside its encoders, such as the licence; by name.
    """

    name: str
    encoders: Mapping[str, ConfiguredPart]
    summary: str = ""
    space: str = ""
    adapters: tuple[ConfiguredPart, ...] = ()
    checks: tuple[BindingCheck, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def configure(name: str, /, **options: object) -> ConfiguredPart:
        """Combine the name of a registered encoder or adapter with its options, for `encoders` and `adapters`."""
        return ConfiguredPart(name, options)

    def find_encoder(self, modality: str) -> ConfiguredPart | None:
        """Return the encoder of a modality: the binding's, else an installed one that builds on one of them."""
        if modality in self.encoders:
            return self.encoders[modality]
        for part in list_parts(EncoderSpec):
            if part.spec.modality == modality and part.spec.builds_on in self.encoders:
                return ConfiguredPart(part.name, {part.spec.builds_on: f"@{part.spec.builds_on}"})
        return None

    @classmethod
    def from_toml(cls, path: Path | Traversable) -> Binding:
        """Read a binding file. Options that begin with `./` or `../` are paths relative to the file's folder.

        Raises:
            BadInput: the file cannot be read.
            BadOption: it is not valid TOML, or has an unknown or a missing key; the message names it.
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

    def with_clamp(self, modality: str, clamp: float) -> Binding:
        """Return the binding with per-pixel event counts of a modality's encoder clamped; no encoder is loaded.

        Raises:
            BadOption: there is no such encoder, or its representation has no clamp.
        """
        if modality not in self.encoders:
            raise BadOption(f"clamp: the binding {self.name!r} has no {modality} encoder")
        use = self.encoders[modality]
        encoder = find_part(EncoderSpec, use.name).load()
        if not (isinstance(encoder, type) and issubclass(encoder, Encoder)):
            raise BadOption(f"the {modality} encoder {use.name!r} of the binding {self.name!r} takes no clamp")
        try:
            options = encoder.with_clamp(use.options, clamp)
        except BadOption as error:
            raise BadOption(f"the binding {self.name!r}: {error}") from error
        return replace(self, encoders={**self.encoders, modality: replace(use, options=options)})


@dataclass(frozen=True)
class _BindingFile:
    """The tables of a binding file."""

    name: str
    encoders: Mapping[str, Mapping[str, object]]
    summary: str = ""
    space: str = ""
    adapters: tuple[Mapping[str, object], ...] = ()


def _parse_part(where: str, table: Mapping[str, object], folder: Path | None) -> ConfiguredPart:
    """Parse the table of an encoder or adapter; `./` and `../` paths are relative to the binding file's folder."""
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
    """Find a binding by name, by `name:argument` if it takes an argument, or by the path of a TOML file.

    Raises:
        UnknownName: no installed binding has that name; the message suggests the nearest names.
        BadInput, BadOption: the TOML file cannot be read or is invalid.
    """
    if not isinstance(name, str | os.PathLike):
        raise BadOption(f"expected a binding, its name or its TOML file, got {name!r}")
    text = os.fspath(name)
    if text.endswith(".toml"):
        return Binding.from_toml(Path(text))
    plain, _, argument = text.partition(":")
    part = find_part(BindingSpec, plain)
    return load_binding(part, argument)


def load_binding(part: Part[BindingSpec], argument: str = "") -> Binding:
    """Load the binding of a registered part from its TOML resource or its function.

    Raises:
        PluginError: its function or resource failed, or is of another type; other errors are as `find_binding`.
    """
    module, _, target = part.spec.target.partition(":")
    try:
        if target.endswith(".toml"):
            if argument:
                raise BadOption(f"binding {part.name!r} takes no argument, got {argument!r}")
            return Binding.from_toml(importlib.resources.files(module).joinpath(target))
        binding = part.load()(argument)
    except (AnybindError, Warning):
        raise
    except Exception as error:
        raise PluginError(f"binding {part.name!r} of {part.distribution}: {describe_exception(error)}") from error
    if not isinstance(binding, Binding):
        raise PluginError(
            f"binding {part.name!r} of {part.distribution}: expected a Binding, got a {type(binding).__name__}"
        )
    return binding


def list_bindings(pattern: str = "*") -> list[Part[BindingSpec]]:
    """List the installed bindings whose names match a pattern, by name, each with its spec; none is loaded."""
    return list_parts(BindingSpec, pattern)
