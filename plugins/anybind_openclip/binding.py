"""The binding `open_clip:MODEL`: text, images and events in the embedding space of one open_clip model."""

from __future__ import annotations

from anybind import Binding
from anybind.plugin import BadOption


def open_clip(model: str) -> Binding:
    """Return a binding of one model's encoders, and an event encoder initialised from its image encoder.

    Args:
        model: `ARCH/TAG`, `hf-hub:ORG/REPO` or `local-dir:PATH`.

    Raises:
        BadOption: the model is empty.
    """
    if not model:
        raise BadOption(
            "expected a model after open_clip:, one of open_clip:ARCH/TAG, open_clip:hf-hub:ORG/REPO,"
            " open_clip:local-dir:PATH"
        )
    return Binding(
        name=f"open_clip:{model}",
        summary="encoders of one open_clip model",
        encoders={
            "text": Binding.configure("open_clip-text", model=model),
            "image": Binding.configure("open_clip-image", model=model),
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
        },
    )
