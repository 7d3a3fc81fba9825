"""The binding `clip-vit-l-14+imagebind`: five modalities in ImageBind's space, three of them through CLIP."""

from __future__ import annotations

import shlex
from pathlib import Path

from anybind import Binding
from anybind.plugin import BadInput, files
from anybind_adapters.card import read_card

NAME = "clip-vit-l-14+imagebind"
MODEL = "ViT-L-14/openai"


def make_binding(adapter: str) -> Binding:
    """Make the binding: text, images and events by CLIP ViT-L-14 and an adapter, audio and depth maps by ImageBind.

    Args:
        adapter: a file of `anybind fit-adapter`; empty for `get_default_path()`.

    Raises:
        BadInput: the file is missing (the message has the command that makes it), or not an adapter.
    """
    path = Path(adapter).expanduser() if adapter else get_default_path()
    if not path.is_file():
        raise BadInput(f"{NAME}: adapter file {path} is missing; fit one: {format_fit_command(path)}")
    card = read_card(path)
    return Binding(
        name=f"{NAME}:{adapter}" if adapter else NAME,
        summary="CLIP ViT-L-14 in ImageBind's space through an adapter; audio and depth maps by ImageBind",
        space="imagebind",
        encoders={
            "text": Binding.configure("open_clip-text", model=MODEL),
            "image": Binding.configure("open_clip-image", model=MODEL),
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
            "sound": Binding.configure("imagebind-sound"),
            "depth": Binding.configure("imagebind-depth"),
        },
        adapters=(Binding.configure(card["name"], weights=str(path)),),
    )


def get_default_path() -> Path:
    """Return the default adapter file: `clip-vit-l-14+imagebind.safetensors` in the user's data folder of anybind."""
    return files.get_data_folder() / f"{NAME}.safetensors"


def format_fit_command(path: Path) -> str:
    """Format the shell command that fits the adapter on a folder of images."""
    folder = "" if path.parent.is_dir() else f"mkdir -p {shlex.quote(str(path.parent))} && "
    fit = "anybind fit-adapter --adapter linear --source clip-vit-l-14 --target imagebind --data IMAGE_FOLDER"
    return f"{folder}{fit} -o {shlex.quote(str(path))}"
