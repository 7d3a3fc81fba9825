"""The binding `imagebind`: text, image, sound, depth and event encoders of one weight file."""

from __future__ import annotations

from anybind import Binding


def imagebind(source: str) -> Binding:
    """Return a binding of one weight file's encoders, and an event encoder initialised from the image encoder.

    Args:
        source: a file, a folder, or a hub repository; empty for the published weights.
    """
    options = {"weights": source} if source else {}
    return Binding(
        name=f"imagebind:{source}" if source else "imagebind",
        summary="encoders of ImageBind, and an event encoder initialised from its image encoder",
        space="imagebind",  # set here: otherwise a second encoder would be loaded to determine it
        encoders={
            **{
                modality: Binding.configure(f"imagebind-{modality}", **options)
                for modality in ("text", "image", "sound", "depth")
            },
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
        },
    )
