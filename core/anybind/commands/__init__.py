"""The commands that need no plugin to exist, one a module."""

from __future__ import annotations

import typer

from anybind.commands import bindings, datasets, embed, evaluate, plugins, store


def add_to(app: typer.Typer) -> None:
    """Add core's commands to the command line."""
    app.add_typer(plugins.app, name="plugins")
    app.add_typer(datasets.app, name="datasets")
    app.add_typer(store.app, name="store")
    app.command("bindings")(bindings.list_bindings)
    app.command("embed")(embed.embed)
    app.command("evaluate")(evaluate.evaluate)
