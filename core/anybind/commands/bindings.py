"""`anybind bindings`: list the installed bindings."""

from __future__ import annotations

from anybind.binding import binding_of_part
from anybind.binding import list_bindings as installed
from anybind.commandline import AsJson, print_json, print_table
from anybind.errors import AnybindError


def list_bindings(as_json: AsJson = False) -> None:
    """List installed bindings and the modalities that each one joins."""
    rows = []
    for part in installed():
        try:
            binding = binding_of_part(part)
            rows.append((part.name, ", ".join(binding.encoders), binding.summary or part.spec.summary))
        except AnybindError:  # one that takes an argument, or a broken one, is still listed
            rows.append((part.name, ", ".join(part.spec.modalities), part.spec.summary))
    if as_json:
        keys = ("name", "modalities", "summary")
        print_json({"bindings": [dict(zip(keys, (n, m.split(", "), s), strict=True)) for n, m, s in rows]})
    else:
        print_table(("binding", "modalities", "summary"), rows)
