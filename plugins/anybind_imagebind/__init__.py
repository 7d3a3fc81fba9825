"""Bundled plugin: ImageBind's encoders of sound, depth, image and text; each loads only its own weights."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1

WEIGHTS_LICENCE = "CC-BY-NC-SA-4.0"
ENCODERS = {
    "sound": ("encoders:ImageBindSoundEncoder", "imagebind", "anybind_imagebind.inputs:ImageBindSoundInput"),
    "depth": ("encoders:ImageBindDepthEncoder", "imagebind", "anybind_imagebind.inputs:ImageBindDepthInput"),
    "image": ("encoders:ImageBindImageEncoder", "imagebind", "anybind_imagebind.image_input:ImageBindImageInput"),
    "text": ("text_encoder:ImageBindTextEncoder", "openclip", "anybind.text_input:load_text_input"),
}
"""Target and extra of each modality's encoder, and the target of its preprocessing once exported."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register one encoder per modality, and the binding of all: published weights, or `imagebind:SOURCE`."""
    for modality, (target, extra, input_target) in ENCODERS.items():
        registry.add(
            EncoderSpec(
                name=f"imagebind-{modality}",
                summary=f"{modality} encoder of ImageBind (imagebind_huge)",
                target=f"anybind_imagebind.{target}",
                modality=modality,
                space="imagebind",
                weights_licence=WEIGHTS_LICENCE,
                extra=extra,
                input_target=input_target,
                input_extra="exported" if modality in ("text", "image") else extra,
            )
        )
    registry.add(
        BindingSpec(
            name="imagebind",
            summary="ImageBind: five modalities in one space; from the hub or a local file",
            target="anybind_imagebind.binding:imagebind",
            modalities=("text", "image", "sound", "depth", "event"),
            forms=("imagebind", "imagebind:PATH", "imagebind:local-dir:DIR"),
            weights_licence=WEIGHTS_LICENCE,
            extra="imagebind",
        )
    )
