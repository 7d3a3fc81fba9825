"""Bundled plugin: pictures, films, sounds, depth maps and words - samples that towers of several plugins share."""

from __future__ import annotations

from anybind.plugin import ModalitySpec, ReaderSpec, Registrar, RepresentationSpec, hookimpl

anybind_contract = 1

MODALITIES = (
    ("image", "pictures, RGB arrays", "image:Image", ""),
    ("text", "words, plain strings", "text:Text", ""),
    ("video", "films", "video:VideoModality", "events"),
    ("sound", "sounds", "sound:Sound", "sound"),
    ("depth", "depth maps, in metres", "depth:Depth", ""),
)
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FILMS = (
    ".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp",
    ".y4m",
)  # fmt: skip
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".oga", ".opus", ".aif", ".rf64", ".w64")
READERS = (
    ("picture", "image", "JPEG, PNG, WebP, GIF, BMP, TIFF (first frame)", "image:PictureReader", PICTURES, ""),
    ("video", "video", "MP4, MOV, MKV, WebM, AVI, MPEG, WMV, FLV, Ogg (pictures only)", "video:VideoReader", FILMS,
     "events"),
    ("sound", "sound", "WAV, FLAC, Ogg, MP3, AIFF", "sound_files:SoundReader", SOUNDS, "sound"),
    ("depth", "depth", "16-bit PNG, PGM and TIFF, float TIFF, NPY, OpenEXR: options scale, preset, fx, baseline",
     "depth_files:DepthReader", (".png", ".npy", ".tiff", ".tif", ".pgm", ".exr"), ""),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add modalities, one reader for each group of file formats, and what audio encoders see of a sound."""
    for name, summary, target, extra in MODALITIES:
        registry.add(ModalitySpec(name=name, summary=summary, target=f"anybind_media.{target}", extra=extra))
    for name, modality, summary, target, suffixes, extra in READERS:
        target = f"anybind_media.{target}"
        registry.add(
            ReaderSpec(name=name, summary=summary, target=target, modality=modality, suffixes=suffixes, extra=extra)
        )
    registry.add(
        RepresentationSpec(
            name="kaldi-fbank",
            summary="log mel energies as Kaldi computes them",
            target="anybind_media.fbank:KaldiFbank",
            modality="sound",
            extra="imagebind",
        )
    )
