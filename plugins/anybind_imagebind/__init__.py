"""Bundled plugin: ImageBind's towers - sound, depth, pictures and words - loaded one at a time."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl

WEIGHTS_LICENCE = "CC-BY-NC-SA-4.0"


@hookimpl
def register_encoders(register: Register) -> None:
    """One tower a modality; the option `weights` says of which file, folder or repository."""
    towers = {
        "sound": ("towers:SoundTower", "imagebind"),
        "depth": ("towers:DepthTower", "imagebind"),
        "image": ("towers:ImageTower", "imagebind"),
        "text": ("words:TextTower", "openclip"),
    }
    for modality, (target, extra) in towers.items():
        register(
            Spec(
                name=f"imagebind-{modality}",
                summary=f"{modality} tower of ImageBind (imagebind_huge)",
                target=f"anybind_imagebind.{target}",
                consumes=(modality,),
                gives="imagebind",
                weights_licence=WEIGHTS_LICENCE,
                extra=extra,
            )
        )


@hookimpl
def register_bindings(register: Register) -> None:
    """All towers of the published weights, or, as `imagebind:SOURCE`, of a file, folder or repository."""
    register(
        Spec(
            name="imagebind",
            summary="ImageBind: five modalities in one space; a local file as imagebind:PATH",
            target="anybind_imagebind.binding:imagebind",
            consumes=("text", "image", "sound", "depth", "event"),
            weights_licence=WEIGHTS_LICENCE,
            extra="imagebind",
        )
    )
