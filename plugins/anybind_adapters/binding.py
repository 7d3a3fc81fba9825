"""The binding `clip-vit-l-14+imagebind`: five modalities in ImageBind's space, three of them by CLIP."""

from __future__ import annotations

import shlex
from pathlib import Path

from anybind import Binding
from anybind.plugin import BadInput, files
from anybind_adapters.card import read_card

NAME = "clip-vit-l-14+imagebind"
MODEL = "ViT-L-14/openai"


def clip_and_imagebind(adapter: str) -> Binding:
    """Words, pictures and events by CLIP ViT-L-14, carried to ImageBind's space; sounds and depth maps by ImageBind.

    Args:
        adapter: a file that `anybind fit-adapter` wrote, of any kind; empty for `default_file()`.

    Raises:
        BadInput: there is no such file, with the line that makes it; or it holds no adapter.
    """
    path = Path(adapter).expanduser() if adapter else default_file()
    if not path.is_file():
        raise BadInput(f"{NAME} needs an adapter, and there is no {path}; make it: {how_to_make(path)}")
    card = read_card(path)
    return Binding(
        name=f"{NAME}:{adapter}" if adapter else NAME,
        summary="CLIP ViT-L-14 carried to ImageBind's space by an adapter; sounds and depth maps by ImageBind",
        space="imagebind",
        encoders={
            "text": Binding.configure("open_clip-text", model=MODEL),
            "image": Binding.configure("open_clip-image", model=MODEL),
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
            "sound": Binding.configure("imagebind-sound"),
            "depth": Binding.configure("imagebind-depth"),
        },
        adapters=(Binding.configure(card["kind"], weights=str(path)),),
    )


def default_file() -> Path:
    """Where the adapter is looked for: `clip-vit-l-14+imagebind.safetensors` in the user's data folder for anybind."""
    return files.get_data_folder() / f"{NAME}.safetensors"


def how_to_make(path: Path) -> str:
    """The line of a shell that makes the adapter from a folder of pictures."""
    folder = "" if path.parent.is_dir() else f"mkdir -p {shlex.quote(str(path.parent))} && "
    fit = "anybind fit-adapter --kind linear --from clip-vit-l-14 --to imagebind --data FOLDER_OF_PICTURES"
    return f"{folder}{fit} -o {shlex.quote(str(path))}"
