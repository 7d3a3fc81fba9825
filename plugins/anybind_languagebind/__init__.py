"""Bundled plugin: LanguageBind's towers - sound, depth, thermal pictures, films, pictures and words."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, ModalitySpec, ReaderSpec, Registrar, hookimpl

anybind_contract = 1

TOWERS = {
    "text": ("words", "text:TextTower"),
    "image": ("pictures", "towers:ImageTower"),
    "sound": ("sounds", "sound:SoundTower"),
    "depth": ("depth maps", "towers:DepthTower"),
    "thermal": ("thermal pictures", "towers:ThermalTower"),
    "video": ("films", "towers:VideoTower"),
}
"""What each modality is of, and where its tower is."""


@hookimpl
def register(registry: Registrar) -> None:
    """Add the modality `thermal`, one encoder a modality, and the binding: `languagebind[:local-dir:PATH]`."""
    registry.add(
        ModalitySpec(
            name="thermal",
            summary="thermal pictures, gray or in false colours",
            target="anybind_languagebind.thermal:Thermal",
            derived_from=("image",),
        )
    )
    registry.add(
        ReaderSpec(
            name="thermal-picture",
            summary="picture files, taken as thermal pictures where those are wanted",
            target="anybind_languagebind.thermal:ThermalReader",
            modality="thermal",
            suffixes=(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
        )
    )
    for modality, (of, target) in TOWERS.items():
        registry.add(
            EncoderSpec(
                name=f"languagebind-{modality}",
                summary=f"{of} by LanguageBind's tower: ORG/REPO or local-dir:PATH",
                target=f"anybind_languagebind.{target}",
                modality=modality,
                space="languagebind",
                weights_licence="MIT",
                extra="languagebind",
            )
        )
    registry.add(
        BindingSpec(
            name="languagebind",
            summary="LanguageBind: six modalities in its text space; from the hub or local folders",
            target="anybind_languagebind.binding:languagebind",
            modalities=tuple(TOWERS),
            forms=("languagebind", "languagebind:local-dir:DIR"),
            weights_licence="MIT",
            extra="languagebind",
        )
    )
