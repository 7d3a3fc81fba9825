"""`Binding`: a named set of encoders and adapters that put several modalities into one space."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybind.config import check_keys, read_toml
from anybind.errors import BadOption, PluginError
from anybind.registry import Part, find_part, parts


@dataclass(frozen=True)
class Use:
    """A registered encoder or adapter with its options, as one table of a binding file says it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


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
    encoders: Mapping[str, Use]
    summary: str = ""
    space: str = ""
    adapters: tuple[Use, ...] = ()

    @classmethod
    def from_toml(cls, path: Path | Any) -> Binding:
        """Read a binding file.

        Raises:
            BadInput: the file cannot be read.
            BadOption: it is no TOML, or has an unknown or a missing key; the message says which.
        """
        table = read_toml(path)
        allowed = ("name", "summary", "space", "encoders", "adapters")
        check_keys(f"binding {path}", table, allowed, required=("name", "encoders"))
        encoders = table["encoders"]
        if not isinstance(encoders, Mapping) or not encoders:
            raise BadOption(f"binding {path}: encoders must be tables [encoders.MODALITY]")
        return cls(
            name=table["name"],
            summary=table.get("summary", ""),
            space=table.get("space", ""),
            encoders={
                modality: _use(f"binding {path}, [encoders.{modality}]", of) for modality, of in encoders.items()
            },
            adapters=tuple(
                _use(f"binding {path}, [[adapters]] {number}", of)
                for number, of in enumerate(table.get("adapters", []), start=1)
            ),
        )


def _use(where: str, table: Mapping[str, Any]) -> Use:
    check_keys(where, table, allowed=(*table, "use") if isinstance(table, Mapping) else (), required=("use",))
    return Use(table["use"], {key: value for key, value in table.items() if key != "use"})


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
    part = find_part("binding", plain)
    return binding_of_part(part, argument)


def binding_of_part(part: Part, argument: str = "") -> Binding:
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


def bindings() -> list[Part]:
    """The installed bindings."""
    return parts("binding")
