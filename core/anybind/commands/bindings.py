"""`anybind bindings`: list the installed bindings."""

from __future__ import annotations

from typing import Annotated

import typer

from anybind.binding import list_bindings as list_installed
from anybind.commandline import AsJson, print_json, print_table, require_matches
from anybind.registry import find_part
from anybind.spec import ModalitySpec


def list_bindings(
    pattern: Annotated[str, typer.Argument(help="Only bindings of this name or pattern, such as 'open*'.")] = "*",
    modality: Annotated[str, typer.Option(help="Only bindings that embed this modality.")] = "",
    as_json: AsJson = False,
) -> None:
    """List installed bindings: the names that --binding takes, and the modalities that each embeds."""
    if modality:
        find_part(ModalitySpec, modality)
    specs = [part.spec for part in list_installed(pattern)]
    require_matches(specs, pattern, (part.name for part in list_installed()), "binding")
    specs = [spec for spec in specs if modality in ("", *spec.modalities)]
    if as_json:
        fields = ("name", "forms", "modalities", "summary")
        print_json({"bindings": [{name: getattr(spec, name) for name in fields} for spec in specs]})
    else:
        rows: list[tuple[str, str, str]] = []
        for spec in specs:
            name, *others = spec.forms or (spec.name,)
            rows += [(name, ", ".join(spec.modalities), spec.summary), *((other, "", "") for other in others)]
        print_table(("--binding", "modalities", "summary"), rows)
