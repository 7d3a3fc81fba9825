"""Bundled plugin: image and text towers of any open_clip model."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add both encoders of a model, the paper's two CLIP models by name, and any other as `open_clip:MODEL`."""
    for modality in ("image", "text"):
        registry.add(
            EncoderSpec(
                name=f"open_clip-{modality}",
                summary=f"{modality} tower of an open_clip model: ARCH/TAG, hf-hub:, local-dir: or a file",
                target=f"anybind_openclip.towers:{modality}_tower",
                modality=modality,
                weights_licence="as published with the model",
                extra="openclip",
            )
        )
    for size in ("B-32", "L-14"):
        registry.add(
            BindingSpec(
                name=f"clip-vit-{size.lower()}",
                summary=f"OpenAI's CLIP ViT-{size}, and an event tower that starts as a copy of its image tower",
                target=f"anybind_openclip:clip-vit-{size.lower()}.toml",
                modalities=("text", "image", "event"),
                weights_licence="MIT",
                extra="openclip",
            )
        )
    registry.add(
        BindingSpec(
            name="open_clip",
            summary="any open_clip model, and an event encoder that starts as a copy of its image tower",
            target="anybind_openclip.binding:open_clip",
            modalities=("text", "image", "event"),
            forms=("open_clip:ARCH/TAG", "open_clip:hf-hub:ORG/REPO", "open_clip:local-dir:DIR"),
            extra="openclip",
        )
    )
