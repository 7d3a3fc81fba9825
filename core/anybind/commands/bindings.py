"""`anybind bindings`: list the installed bindings."""

from __future__ import annotations

from typing import Annotated

import typer

from anybind.binding import Binding, find_binding
from anybind.binding import list_bindings as list_installed
from anybind.commandline import AsJson, print_json, print_table, print_text, require_matches
from anybind.registry import find_part
from anybind.spec import ModalitySpec


def list_bindings(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Only bindings of this name or pattern, such as 'open*'; or one to describe, NAME:ARGUMENT or a file."
        ),
    ] = "*",
    modality: Annotated[str, typer.Option(help="Only bindings that embed this modality.")] = "",
    as_json: AsJson = False,
) -> None:
    """List installed bindings: the names that --binding takes, and the modalities that each embeds."""
    if modality:
        find_part(ModalitySpec, modality)
    if ":" in pattern or pattern.endswith(".toml"):
        _show_binding(find_binding(pattern), as_json)
        return
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


def _show_binding(binding: Binding, as_json: bool) -> None:
    """Print the encoders, adapters and facts of one binding, without loading its encoders."""
    encoders = {modality: use.name for modality, use in binding.encoders.items()}
    adapters = [use.name for use in binding.adapters]
    if as_json:
        fields = {"name": binding.name, "summary": binding.summary, "encoders": encoders, "adapters": adapters}
        print_json({**fields, "facts": binding.facts})
        return
    print_text(f"{binding.name}: {binding.summary}" if binding.summary else binding.name)
    print_table(("modality", "encoder"), list(encoders.items()))
    facts = ({"adapters": ", ".join(adapters)} if adapters else {}) | dict(binding.facts)
    for fact, value in facts.items():
        print_text(f"{fact}: {value}")
