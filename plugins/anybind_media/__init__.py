"""Bundled plugin: pictures, films, sounds, depth maps and words - samples that towers of several plugins share."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl

ALSO_FILMS = (".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".y4m")


@hookimpl
def register_modalities(register: Register) -> None:
    """`image`, `text`, `video`, `sound` and `depth`."""
    register(Spec(name="image", summary="pictures, RGB arrays", target="anybind_media.image:Image"))
    register(Spec(name="text", summary="words, plain strings", target="anybind_media.text:Text"))
    register(Spec(name="video", summary="films", target="anybind_media.video:VideoModality", extra="events"))
    register(Spec(name="sound", summary="sounds", target="anybind_media.sound:Sound", extra="sound"))
    register(Spec(name="depth", summary="depth maps, in metres", target="anybind_media.depth:Depth"))


@hookimpl
def register_readers(register: Register) -> None:
    """One reader a modality: what Pillow knows and people use, what FFmpeg and libsndfile decode, arrays of depth."""
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
    register(
        Spec(
            name="sound",
            summary="WAV, FLAC, Ogg, MP3, AIFF",
            target="anybind_media.sound_files:SoundReader",
            gives="sound",
            suffixes=(".wav", ".flac", ".ogg", ".mp3", ".aiff", ".oga", ".opus", ".aif", ".rf64", ".w64"),
            extra="sound",
        )
    )
    register(
        Spec(
            name="depth",
            summary="16-bit PNG, PGM and TIFF, float TIFF, NPY, OpenEXR: options scale, preset, fx, baseline",
            target="anybind_media.depth_files:DepthReader",
            gives="depth",
            suffixes=(".png", ".npy", ".tiff", ".tif", ".pgm", ".exr"),
        )
    )
    for kind, gives in (("Depth", "depth"), ("Picture", "image")):
        register(
            Spec(
                name=f"nyu-{kind.lower()}-mat",
                summary=f"one of NYU Depth v2's labelled {kind.lower()}s in MATLAB's file, by its index",
                target=f"anybind_media.nyu_mat:Nyu{kind}Reader",
                gives=gives,
                suffixes=(".mat",),
                extra="events",
            )
        )


@hookimpl
def register_representations(register: Register) -> None:
    """What audio towers see of a sound."""
    register(
        Spec(
            name="kaldi-fbank",
            summary="log mel energies as Kaldi computes them",
            target="anybind_media.fbank:KaldiFbank",
            consumes=("sound",),
            extra="imagebind",
        )
    )


@hookimpl
def register_datasets(register: Register) -> None:
    """Recordings of one thing in several modalities, and sounds."""
    for name, summary, target in (
        ("esc-50", "ESC-50, or ESC-10 in its earlier layout: environmental sounds in five folds", "esc:Esc50"),
        (
            "manifest",
            "a table of files that belong together: one line a thing, one column a modality",
            "manifest:ManifestDataset",
        ),
        ("llvip", "LLVIP: people and backgrounds, or pairs, in infrared and visible light", "llvip:Llvip"),
        ("spoken-digits", "MNIST's test digits and the Free Spoken Digit Dataset", "spoken_digits:SpokenDigits"),
        ("tuxpaint-triplets", "pictures, names and sounds of Tux Paint's stamps", "manifest:TuxpaintTriplets"),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_media.datasets.{target}"))
    for name, summary, target, extra in (
        ("digits-8x8", "scikit-learn's 1,797 handwritten digits; no data needed", "packaged:Digits8x8", "train"),
        ("skimage-pictures", "scikit-image's pictures, in words; no data needed", "packaged:SkimagePictures", "mini"),
        ("stereo-tiles", "parts of a picture and their depth maps; no data needed", "packaged:StereoTiles", "mini"),
        # MATLAB's lists are read by SciPy, which comes with scikit-learn.
        ("nyu-d", "NYU Depth v2: depth maps and pictures of ten kinds of scene", "nyu_d:NyuDepth", "train"),
        ("sun-d", "SUN RGB-D: depth maps and pictures of 19 kinds of scene", "sun_d:SunRgbd", "train"),
        ("made-films", "people walk, one runs: films made on the spot", "made_films:MadeFilms", "events"),
    ):
        gives = "video" if name == "made-films" else ""
        register(Spec(name=name, summary=summary, target=f"anybind_media.datasets.{target}", gives=gives, extra=extra))
