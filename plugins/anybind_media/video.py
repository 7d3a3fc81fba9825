"""Films: the modality `video`, and the reader of film files and of folders of frames."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, BadOption, Modality, Reader, files, prefetch
from anybind_media.image import PictureReader

FRAME_SUFFIXES = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
FOLDER_FPS = 25.0
"""Frames a second of a folder of frames, which does not say it."""
STILLS = 6
STILL_HEIGHT = 120
MARKS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"YUV4MPEG2")
NO_FILMS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"M4A ", b"M4B ")
"""What files that are laid out as MP4 but hold pictures or sound alone say of themselves."""
HEAD_BYTES = 4096
PREFETCH = 8
"""Frames that are decoded ahead of the one in use."""
PACKET_BYTES = 188
"""Length of the packets of an MPEG transport stream, each of which begins with the letter G."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video, upright.

    Attributes:
        time_us: presentation time in microseconds since the first frame.
        gray: luma, uint8 (height, width), 0 to 255. Videos keep the luma that they are coded in (Rec. 601 or Rec. 709,
            as the codec says, limited range expanded); images and videos coded as RGB are converted by Rec. 601.
            On gray content this equals MATLAB's rgb2gray; on colours Rec. 709 differs by up to 33 levels (pure green).
        rgb: convert to RGB, uint8 (height, width, 3); computed at each call.
    """

    time_us: int
    gray: np.ndarray
    rgb: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Video:
    """A film: a file, or a folder of pictures in the order of their names. Opened anew each time it is played.

    Attributes:
        path: the file or folder.
        width, height: of every frame as it is shown (turned upright), in pixels.
        fps: frames a second, on average; 0 where the file does not say it.
        duration: seconds; 0 where the file does not say it.
        pictures: the frames of a folder; none for a file.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    pictures: tuple[Path, ...] = field(default=(), repr=False)

    def frames(self) -> Iterator[Frame]:
        """Decode the frames in order, in a thread of its own, in memory that does not grow with the video.

        Times are the video's presentation times, also where its frame rate varies; they never fall.

        Raises:
            BadInput: the video is damaged or cut off, a frame differs in size from the first, or time runs backwards;
                raised after the frames before it.
        """
        frames = self._decode()
        # Each call takes the next frame: an iterator is decoded by one thread.
        for frame in prefetch(lambda _: next(frames, None), itertools.repeat(None), workers=1, queue_size=PREFETCH):
            if frame is None:
                return
            yield frame

    def _decode(self) -> Iterator[Frame]:
        before = 0
        for number, decoded in enumerate(_decode_pictures(self) if self.pictures else _film().decode(self.path)):
            frame = Frame(*decoded)
            height, width = frame.gray.shape
            if (width, height) != (self.width, self.height):
                raise BadInput(
                    f"{self.pictures[number] if self.pictures else self.path}: frame {number} is {width}x{height} and"
                    f" those before it are {self.width}x{self.height}; make all of one size"
                )
            if frame.time_us < before:
                raise BadInput(
                    f"{self.path}: time runs backwards at frame {number}: {before} us, then {frame.time_us} us"
                )
            before = frame.time_us
            yield frame

    def stills(self, count: int = STILLS) -> list[np.ndarray]:
        """Up to `count` RGB frames, evenly spaced over the film; the first alone where its length is not known."""
        if self.pictures:
            places = sorted({len(self.pictures) * number // count for number in range(count)})
            return [PictureReader().read(self.pictures[place]) for place in places]
        return _film().stills(self.path, self.duration, count if self.duration else 1)


def open_video(path: str | os.PathLike[str], *, fps: float | None = None) -> Video:
    """A film by its file or its folder of frames; only the first frame is decoded.

    Args:
        path: a file of any format that FFmpeg decodes, or a folder of pictures, played in the order of their names
            (and of the numbers in them: `2.png` before `10.png`).
        fps: frames a second of a folder, 25 by default; a file says its own times.

    Raises:
        BadInput: no such file or folder, no film, no frames, or a codec that is not installed.
        BadOption: `fps` is not above 0, or is given for a file.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, FOLDER_FPS if fps is None else fps)
    if fps is not None:
        raise BadOption(f"{path} is a file, which says its own times; fps is for a folder of frames")
    with path.open("rb") as file:
        if not is_film(file.read(HEAD_BYTES)):  # FFmpeg would also open playlists, and the places that they name
            raise BadInput(f"{path} is no film: its beginning is not that of a known format")
    return Video(path, *_film().describe(path))


def _film() -> ModuleType:
    """The module that decodes film files; its PyAV is loaded when the first is opened, and not to list frames."""
    from anybind_media import video_decoder

    return video_decoder


def is_film(head: bytes) -> bool:
    """Whether a file that begins with these bytes is of one of the formats of films."""
    return (
        head.startswith(MARKS)
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:4] == b"OggS" and b"\x80theora" in head)
        or (head[4:8] == b"ftyp" and head[8:12] not in NO_FILMS)
        or (head[4:8] in (b"moov", b"mdat", b"wide") and head[:2] == b"\0\0")
        or (len(head) > 2 * PACKET_BYTES and set(head[: 3 * PACKET_BYTES : PACKET_BYTES]) == {ord("G")})
    )


def _open_folder(path: Path, fps: float) -> Video:
    if not (math.isfinite(fps) and fps > 0):
        raise BadOption(f"fps must be a number above 0, got {fps}")
    pictures = [each for each in path.iterdir() if each.suffix.lower() in FRAME_SUFFIXES and each.name[0] != "."]
    if not pictures:
        raise BadInput(f"{path} holds no frames (pictures ending in {', '.join(FRAME_SUFFIXES)})")
    pictures.sort(key=_natural)
    height, width = PictureReader().read(pictures[0]).shape[:2]
    return Video(path, width, height, float(fps), len(pictures) / fps, tuple(pictures))


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sorts names by the numbers in them: `2.png` before `10.png`."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], path.name


def _decode_pictures(video: Video) -> Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]:
    """Yield time, luma and a function that reads RGB, as `film.decode` does."""
    for number, path in enumerate(video.pictures):
        yield round(number * 1e6 / video.fps), _gray_picture(path), functools.partial(PictureReader().read, path)


def _gray_picture(path: Path) -> np.ndarray:
    with contextlib.suppress(Exception), files.open_image(path) as picture:  # what is wrong with it, the reader tells
        if picture.format == "JPEG":
            picture.draft("L", None)  # leaves the planes of colour undecoded
            return np.asarray(PIL.ImageOps.exif_transpose(picture).convert("L"))
    return np.asarray(PIL.Image.fromarray(PictureReader().read(path)).convert("L"))


class VideoModality(Modality[Video]):
    """A film: a `Video`."""

    name = "video"

    def accepts(self, item: object) -> bool:
        return isinstance(item, Video)

    def check(self, sample: Video) -> None:
        if not sample.width * sample.height:
            raise BadInput(f"{sample.path} has frames without pixels ({sample.width}x{sample.height})")

    def show(self, sample: Video) -> np.ndarray:
        """A strip of frames, evenly spaced over the film, side by side."""
        strip = []
        for still in sample.stills():
            picture = PIL.Image.fromarray(still)
            width = max(1, round(picture.width * STILL_HEIGHT / picture.height))
            strip.append(np.asarray(picture.resize((width, STILL_HEIGHT))))
        return np.hstack(strip)


class VideoReader(Reader):
    """Film files by FFmpeg."""

    def sniff(self, head: bytes) -> bool:
        return is_film(head)

    def read(self, path: Path, *, fps: float | None = None) -> Video:
        """The film, not yet played; see `open_video`, which also says what is raised."""
        return open_video(path, fps=fps)
