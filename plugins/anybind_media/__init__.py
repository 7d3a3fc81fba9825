"""Bundled plugin: pictures and words - the samples that towers of several plugins share."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_modalities(register: Register) -> None:
    """`image` and `text`."""
    register(Spec(name="image", summary="pictures, RGB arrays", target="anybind_media.image:Image"))
    register(Spec(name="text", summary="words, plain strings", target="anybind_media.text:Text"))


@hookimpl
def register_readers(register: Register) -> None:
    """One reader for the picture formats that Pillow knows and people use."""
    register(
        Spec(
            name="picture",
            summary="JPEG, PNG, WebP, GIF, BMP, TIFF (first frame)",
            target="anybind_media.image:PictureReader",
            gives="image",
            suffixes=(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        )
    )
