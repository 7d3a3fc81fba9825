"""Bundled plugin: pictures, films and words - the samples that towers of several plugins share."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl

ALSO_FILMS = (".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".y4m")


@hookimpl
def register_modalities(register: Register) -> None:
    """`image`, `text` and `video`."""
    register(Spec(name="image", summary="pictures, RGB arrays", target="anybind_media.image:Image"))
    register(Spec(name="text", summary="words, plain strings", target="anybind_media.text:Text"))
    register(Spec(name="video", summary="films", target="anybind_media.video:VideoModality", extra="events"))


@hookimpl
def register_readers(register: Register) -> None:
    """One reader for the picture formats that Pillow knows and people use, one for the films that FFmpeg decodes."""
    register(
        Spec(
            name="picture",
            summary="JPEG, PNG, WebP, GIF, BMP, TIFF (first frame)",
            target="anybind_media.image:PictureReader",
            gives="image",
            suffixes=(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        )
    )
    register(
        Spec(
            name="video",
            summary="MP4, MOV, MKV, WebM, AVI, MPEG, WMV, FLV, Ogg (pictures only)",
            target="anybind_media.video:VideoReader",
            gives="video",
            suffixes=(".mp4", ".avi", ".mkv", ".mov", ".webm", *ALSO_FILMS),
            extra="events",
        )
    )
