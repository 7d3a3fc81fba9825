"""Bundled plugin: image and text towers of any open_clip model."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_encoders(register: Register) -> None:
    """Both towers of a model; the option `model` says which."""
    for modality in ("image", "text"):
        register(
            Spec(
                name=f"open_clip-{modality}",
                summary=f"{modality} tower of an open_clip model: ARCH/TAG, hf-hub:, local-dir: or a file",
                target=f"anybind_openclip.towers:{modality}_tower",
                consumes=(modality,),
                weights_licence="as published with the model",
                extra="openclip",
            )
        )


@hookimpl
def register_bindings(register: Register) -> None:
    """The paper's two CLIP models by name, and any other as `open_clip:MODEL`."""
    for size in ("B-32", "L-14"):
        register(
            Spec(
                name=f"clip-vit-{size.lower()}",
                summary=f"OpenAI's CLIP ViT-{size}, and an event tower that starts as a copy of its image tower",
                target=f"anybind_openclip:clip-vit-{size.lower()}.toml",
                consumes=("text", "image", "event"),
                weights_licence="MIT",
                extra="openclip",
            )
        )
    register(
        Spec(
            name="open_clip",
            summary="any open_clip model, as open_clip:ARCH/TAG, open_clip:hf-hub:ID or open_clip:local-dir:PATH",
            target="anybind_openclip.binding:open_clip",
            consumes=("text", "image", "event"),
            extra="openclip",
        )
    )
