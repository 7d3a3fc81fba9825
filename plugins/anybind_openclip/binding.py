"""The binding `open_clip:MODEL`: words, pictures and events by one open_clip model."""

from __future__ import annotations

from anybind import Binding
from anybind.plugin import BadOption


def open_clip(model: str) -> Binding:
    """A binding on the towers of one model, with an event tower that starts as a copy of its image tower.

    Args:
        model: `ARCH/TAG`, `hf-hub:ORG/REPO` or `local-dir:PATH`.

    Raises:
        BadOption: no model is named.
    """
    if not model:
        raise BadOption("say which model: open_clip:ARCH/TAG, open_clip:hf-hub:ORG/REPO or open_clip:local-dir:PATH")
    return Binding(
        name=f"open_clip:{model}",
        summary="towers of one open_clip model",
        encoders={
            "text": Binding.configure("open_clip-text", model=model),
            "image": Binding.configure("open_clip-image", model=model),
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
        },
    )
