"""Bundled plugin: ImageBind's towers - sound, depth, pictures and words - loaded one at a time."""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1

WEIGHTS_LICENCE = "CC-BY-NC-SA-4.0"
TOWERS = {
    "sound": ("towers:SoundTower", "imagebind"),
    "depth": ("towers:DepthTower", "imagebind"),
    "image": ("towers:ImageTower", "imagebind"),
    "text": ("words:TextTower", "openclip"),
}
"""Where the tower of each modality is, and the extra it needs."""


@hookimpl
def register(registry: Registrar) -> None:
    """Add one encoder a modality, and the binding of all of them: published weights, or `imagebind:SOURCE`."""
    for modality, (target, extra) in TOWERS.items():
        registry.add(
            EncoderSpec(
                name=f"imagebind-{modality}",
                summary=f"{modality} tower of ImageBind (imagebind_huge)",
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
