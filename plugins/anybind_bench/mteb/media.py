"""Audio and video of MTEB's loaders, read by our readers: torchcodec, on which `datasets` relies, is not needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import PIL.Image

from anybind import BadInput
from anybind.plugin import Item, ReaderSpec, find_part, readers, samples

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false


def iterate_undecoded(loader: DataLoader[object] | Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, Any]]:
    """Yield a loader's batches; audio and video of a `datasets.Dataset` as `{"bytes": ..., "path": ...}`."""
    import datasets
    from torch.utils.data import DataLoader

    dataset = getattr(loader, "dataset", None)
    if not isinstance(loader, DataLoader) or not isinstance(dataset, datasets.Dataset):
        yield from loader
        return
    media = {
        name: type(feature)
        for name, feature in dataset.features.items()
        if isinstance(feature, datasets.Audio | datasets.Video)
    }
    for name, feature_type in media.items():
        dataset = dataset.cast_column(name, feature_type(decode=False))
    yield from DataLoader(
        cast("Any", dataset), loader.batch_size, collate_fn=loader.collate_fn, num_workers=loader.num_workers
    )


def save_audio(clip: Any, path: Path) -> Path:
    """Return the file of an audio clip; one in memory is written to `path` plus a suffix.

    Args:
        clip: `bytes` or `path` of a file, or `array`, (n,) or (channels, n), and `sampling_rate` in Hz.
        path: where to write, without suffix.

    Raises:
        BadInput: no such fields, or the path is not a local file.
    """
    if isinstance(clip, Mapping) and "array" not in clip:
        return _save_file(clip, path)
    import soundfile

    try:
        waveform, rate = np.asarray(clip["array"], np.float32), int(clip["sampling_rate"])
    except (TypeError, KeyError, ValueError) as error:
        raise BadInput(f"audio: expected array and sampling_rate, got {type(clip).__name__} ({error})") from error
    file = path.with_suffix(".wav")
    soundfile.write(file, waveform.T, rate, subtype="FLOAT")
    return file


def save_video(video: Any, path: Path) -> Path:
    """Return the file of a video, or a folder of its frames.

    Args:
        video: `bytes` or `path` of a file; or frames, (n, 3, height, width) uint8; or a decoder of torchcodec.
        path: where to write, without suffix.

    Raises:
        BadInput: of another type, or the path is not a local file.
    """
    if isinstance(video, Mapping | str | Path):
        return _save_file(video if isinstance(video, Mapping) else {"path": video}, path)
    if hasattr(video, "get_frames_in_range"):
        video = video.get_frames_in_range(0, len(video)).data
    frames = np.asarray(video)
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise BadInput(f"video: expected frames (n, 3, height, width) of uint8, got {frames.dtype} {frames.shape}")
    path.mkdir()
    for number, frame in enumerate(frames):
        PIL.Image.fromarray(frame.transpose(1, 2, 0)).save(path / f"{number}.png", compress_level=1)
    return path


def _save_file(media: Mapping[str, Any], path: Path) -> Path:
    """Return the local file of `{"bytes": ..., "path": ...}`; bytes are written to `path` plus the path's suffix."""
    name, content = media.get("path"), media.get("bytes")
    if content is not None:
        file = path.with_suffix(Path(name).suffix if name else "")
        file.write_bytes(content)
        return file
    if not name or not Path(name).is_file():
        raise BadInput(f"audio or video: expected bytes or a local file, got path {name!r}; download the dataset first")
    return Path(name)


def sample_frames(path: Path, n_frames: int) -> list[np.ndarray]:
    """Decode up to `n_frames` RGB frames of a video file or a folder of frames, evenly spaced in time.

    Raises:
        BadInput: not a readable video.
    """
    reader = find_part(ReaderSpec, "video") if path.is_dir() else readers.find_reader(path, "video")
    if reader.spec.modality != "video":
        raise BadInput(f"{path}: expected a video, got {reader.spec.modality}")
    video = cast("samples.VideoSample", readers.read(path, reader=reader))
    return video.sample_frames(n_frames)


def is_missing(value: object) -> bool:
    """Return whether a sample lacks a modality: None, or an empty text."""
    return value is None or (isinstance(value, str) and not value.strip())


def check_images(images: Iterable[object]) -> list[np.ndarray]:
    """Convert Pillow images to RGB arrays; raise `BadInput` for anything else."""
    listed = list(images)
    for image in listed:
        if not isinstance(image, PIL.Image.Image):
            raise BadInput(f"images: expected Pillow images, got {type(image).__name__}")
    return [np.asarray(image.convert("RGB")) for image in listed if isinstance(image, PIL.Image.Image)]


def format_reference(path: str | Path, options: Mapping[str, object]) -> str:
    """Format a file and its reader options as the text of a column."""
    return json.dumps({"path": str(path), "options": dict(options)})


def parse_reference(text: str) -> Item | str:
    """Parse the text of a column: an item of `format_reference`, or a path as it is."""
    if not text.startswith('{"path": '):
        return text
    fields = json.loads(text)
    return Item(fields["path"], Path(fields["path"]), options=fields["options"])
