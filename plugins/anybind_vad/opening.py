"""`open_video`: a video file, a folder of frames, or an event recording."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from anybind.plugin import BadInput, BadOption, ReaderSpec, find_part, readers, samples
from anybind_vad.presets import check_number
from anybind_vad.recordings import FPS, EventRecording


def open_video(path: str | Path, fps: float | None = None, **options: object) -> samples.VideoSample | EventRecording:
    """Open a video file, an animated GIF, WebP or PNG, a folder of frames, or an event recording.

    Args:
        path: the file or folder.
        fps: frame rate of a folder of frames, or of an event recording, in Hz. [default: 25]
        options: options of the reader, such as the `size` of the sensor of a recording.

    Raises:
        BadInput: not a video or an event recording, or not readable.
        BadOption: a frame rate out of range, or given for a file of frames; an option that the reader does not take.
    """
    path = Path(path)
    reader = find_part(ReaderSpec, "video") if path.is_dir() else readers.find_reader(path, "video", options)
    if reader.spec.modality == "event":
        if fps is not None:
            check_number("fps", fps)
        if fps == 0:
            raise BadOption("fps: expected a number above 0, got 0")
        events = cast(samples.EventSample, readers.read(path, reader=reader, **options))
        return EventRecording(path, events, FPS if fps is None else float(fps))
    if reader.spec.modality != "video":
        raise BadInput(
            f"{path}: expected a video, a folder of frames or an event recording, got {reader.spec.modality}"
        )
    rate = {} if fps is None else {"fps": fps}
    return cast(samples.VideoSample, readers.read(path, reader=reader, **rate, **options))
