"""Bundled plugin: LanguageBind's towers - sound, depth, thermal pictures, films, pictures and words."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl

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
def register_modalities(register: Register) -> None:
    """`thermal`: pictures of warmth, which any picture can be taken as."""
    register(
        Spec(
            name="thermal",
            summary="thermal pictures, gray or in false colours",
            target="anybind_languagebind.thermal:Thermal",
            consumes=("image",),
        )
    )


@hookimpl
def register_readers(register: Register) -> None:
    """Picture files as thermal pictures, where those are wanted."""
    register(
        Spec(
            name="thermal-picture",
            summary="picture files, taken as thermal pictures where those are wanted",
            target="anybind_languagebind.thermal:ThermalReader",
            gives="thermal",
            suffixes=(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
        )
    )


@hookimpl
def register_encoders(register: Register) -> None:
    """One tower a modality, from a checkpoint of its own."""
    for modality, (of, target) in TOWERS.items():
        register(
            Spec(
                name=f"languagebind-{modality}",
                summary=f"{of} by LanguageBind's tower: ORG/REPO or local-dir:PATH",
                target=f"anybind_languagebind.{target}",
                consumes=(modality,),
                gives="languagebind",
                weights_licence="MIT",
                extra="languagebind",
            )
        )


@hookimpl
def register_bindings(register: Register) -> None:
    """All of them, as `languagebind` or `languagebind:local-dir:PATH`."""
    register(
        Spec(
            name="languagebind",
            summary="LanguageBind's towers; languagebind:local-dir:PATH takes them from folders",
            target="anybind_languagebind.binding:languagebind",
            consumes=tuple(TOWERS),
            weights_licence="MIT",
            extra="languagebind",
        )
    )
