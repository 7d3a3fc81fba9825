"""Bundled plugin: ImageBind's encoders of sound, depth, image and text; each loads only its own weights."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1

WEIGHTS_LICENCE = "CC-BY-NC-SA-4.0"
ENCODERS = {
    "sound": ("encoders:ImageBindSoundEncoder", "imagebind"),
    "depth": ("encoders:ImageBindDepthEncoder", "imagebind"),
    "image": ("encoders:ImageBindImageEncoder", "imagebind"),
    "text": ("text_encoder:ImageBindTextEncoder", "openclip"),
}
"""Target and extra of each modality's encoder."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register one encoder per modality, and the binding of all: published weights, or `imagebind:SOURCE`."""
    for modality, (target, extra) in ENCODERS.items():
        registry.add(
            EncoderSpec(
                name=f"imagebind-{modality}",
                summary=f"{modality} encoder of ImageBind (imagebind_huge)",
                target=f"anybind_imagebind.{target}",
                modality=modality,
                space="imagebind",
                weights_licence=WEIGHTS_LICENCE,
                extra=extra,
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
