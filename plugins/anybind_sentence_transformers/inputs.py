"""Samples of anybind in the forms that sentence-transformers takes, and the reverse."""

from __future__ import annotations

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, samples


def convert_text(sample: str) -> dict[str, str]:
    """Wrap a text: a bare one that ends like the path or URL of an image would be read as the image."""
    return {"text": sample}


def convert_image(sample: np.ndarray) -> PIL.Image.Image:
    """Convert (height, width, 3) uint8 to a Pillow image."""
    return PIL.Image.fromarray(sample)


def convert_sound(sample: samples.AudioSample, rate: int) -> dict[str, object]:
    """Convert an audio clip to one channel, the mean of all, at the model's sample rate."""
    clip = sample.mono().resample(rate)
    return {"audio": {"array": np.ascontiguousarray(clip.samples[0], np.float32), "sampling_rate": rate}}


def convert_video(sample: samples.VideoSample, n_frames: int) -> dict[str, object]:
    """Decode evenly spaced frames of a video, from the first to the last one; a shorter video gives all of its frames.

    The video is decoded twice: files do not store their number of frames. Memory holds the selected frames alone.
    """
    count = sum(1 for _ in sample.frames())
    if not count:
        raise BadInput(f"{sample.path}: the video has no frames")
    indices = np.linspace(0, count - 1, min(count, n_frames)).astype(int)
    selected = set(indices.tolist())
    frames = [frame.rgb().transpose(2, 0, 1) for number, frame in enumerate(sample.frames()) if number in selected]
    metadata = {
        "total_num_frames": count,
        "fps": sample.fps or None,
        "duration": sample.duration or None,
        "frames_indices": indices.tolist(),
    }
    return {"video": {"array": np.stack(frames), "video_metadata": metadata}}
