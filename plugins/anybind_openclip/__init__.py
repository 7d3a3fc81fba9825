"""Bundled plugin: the image and text encoders of any open_clip model."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1

INPUTS = {
    "image": "anybind_openclip.export_inputs:OpenClipImageInput",
    "text": "anybind.text_input:load_text_input",
}
"""The preprocessing of the exported encoder, by modality."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register both encoders, bindings of the paper's two CLIP models, and `open_clip:MODEL` for any other."""
    for modality in ("image", "text"):
        registry.add(
            EncoderSpec(
                name=f"open_clip-{modality}",
                summary=f"{modality} encoder of an open_clip model: ARCH/TAG, hf-hub:, local-dir: or a file",
                target=f"anybind_openclip.encoders:load_{modality}_encoder",
                modality=modality,
                weights_licence="as published with the model",
                extra="openclip",
                input_target=INPUTS[modality],
                input_extra="exported",
            )
        )
    for size in ("B-32", "L-14"):
        registry.add(
            BindingSpec(
                name=f"clip-vit-{size.lower()}",
                summary=f"OpenAI's CLIP ViT-{size}, and an event encoder initialised from its image encoder",
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
