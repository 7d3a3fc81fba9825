"""Bundled plugin: LanguageBind's encoders of sound, depth, thermal images, video, image and text."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, ModalitySpec, ReaderSpec, Registrar, hookimpl

anybind_contract = 1

ENCODERS = {
    "text": "text_encoder:LanguageBindTextEncoder",
    "image": "encoders:LanguageBindImageEncoder",
    "sound": "sound_encoder:LanguageBindSoundEncoder",
    "depth": "encoders:LanguageBindDepthEncoder",
    "thermal": "encoders:LanguageBindThermalEncoder",
    "video": "encoders:LanguageBindVideoEncoder",
}
"""Target of each modality's encoder."""
INPUTS = {
    "text": "anybind.text_input:load_text_input",
    **{
        modality: f"anybind_languagebind.inputs:LanguageBind{modality.title()}Input"
        for modality in ("image", "sound", "depth", "thermal", "video")
    },
}
"""Target of the preprocessing of each exported encoder."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register the modality `thermal`, one encoder per modality, and the binding `languagebind[:local-dir:PATH]`."""
    registry.add(
        ModalitySpec(
            name="thermal",
            summary="thermal images, grayscale or false-colour",
            target="anybind_languagebind.thermal:ThermalModality",
            derived_from=("image",),
        )
    )
    registry.add(
        ReaderSpec(
            name="thermal-image",
            summary="image files, read as thermal images",
            target="anybind_languagebind.thermal:ThermalReader",
            modality="thermal",
            suffixes=(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
            signatures=(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*"),
        )
    )
    for modality, target in ENCODERS.items():
        registry.add(
            EncoderSpec(
                name=f"languagebind-{modality}",
                summary=f"{modality} encoder of LanguageBind: ORG/REPO or local-dir:PATH",
                target=f"anybind_languagebind.{target}",
                modality=modality,
                space="languagebind",
                weights_licence="MIT",
                extra="languagebind",
                input_target=INPUTS[modality],
                input_extra="exported" if modality == "text" else "languagebind",
            )
        )
    registry.add(
        BindingSpec(
            name="languagebind",
            summary="LanguageBind: seven modalities in its text space; from the hub or local folders",
            target="anybind_languagebind.binding:languagebind",
            modalities=(*ENCODERS, "event"),
            forms=("languagebind", "languagebind:local-dir:DIR"),
            weights_licence="MIT",
            extra="languagebind",
        )
    )
