"""`anybind export-st`: see `anybind_sentence_transformers.save_sentence_transformer`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import AsJson, print_json, print_text


def export_sentence_transformer(
    binding: Annotated[str, typer.Argument(help="Binding: a name or a TOML file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the model.")],
    as_json: AsJson = False,
) -> None:
    """Save the text and image encoders of a binding as a folder for SentenceTransformer(FOLDER)."""
    from anybind_sentence_transformers.saving import save_sentence_transformer  # imports torch

    saved = save_sentence_transformer(load(binding), output)
    if as_json:
        print_json({**asdict(saved), "folder": str(saved.folder)})
        return
    print_text(
        f"{output}: {', '.join(saved.modalities)}; largest difference of a cosine from 1: {saved.max_difference:.1e}"
    )
    if saved.left_out:
        print_text(f"left out, since sentence-transformers has no modules for them: {', '.join(saved.left_out)}")
