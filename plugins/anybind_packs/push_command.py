"""`anybind push`: see `anybind_packs.push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, print_json, print_text


def push(
    folder: Annotated[Path, typer.Argument(help="Folder of `anybind pack`.")],
    target: Annotated[str, typer.Argument(help="hf:ORG/NAME, created if it does not exist.")],
    token_file: Annotated[
        Path | None, typer.Option(help="File with the hub's access token. [default: HF_TOKEN, or the stored token]")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    message: Annotated[str, typer.Option(help="Message of the commit. [default: the name of the pack]")] = "",
    as_json: AsJson = False,
) -> None:
    """Upload a pack to the Hugging Face hub: the files of the pack, and no others of the folder."""
    from anybind_packs.pushing import push as upload_pack

    binding = upload_pack(folder, target, token_file=token_file, private=private, message=message)
    if as_json:
        print_json({"binding": binding})
    else:
        print_text(f"{folder}: load it as --binding {binding}")
