"""The binding `imagebind`: words, pictures, sounds, depth maps and events by one weight file."""

from __future__ import annotations

from anybind import Binding


def imagebind(source: str) -> Binding:
    """A binding on the towers of one weight file, with an event tower that starts as a copy of the image tower.

    Args:
        source: a file, a folder, or a repository of the hub; empty for the published weights.
    """
    options = {"weights": source} if source else {}
    return Binding(
        name=f"imagebind:{source}" if source else "imagebind",
        summary="towers of ImageBind, and an event tower that starts as a copy of its image tower",
        space="imagebind",  # said here, so that no other tower is loaded to find it out
        encoders={
            **{
                modality: Binding.configure(f"imagebind-{modality}", **options)
                for modality in ("text", "image", "sound", "depth")
            },
            "event": Binding.configure("event-encoder", image_encoder="@image", representation="paper"),
        },
    )
