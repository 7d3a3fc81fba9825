"""A film on its way: windows of events, frames in colour and times, all from one decoding."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, ReaderSpec, find_part, modalities, readers


def open_film(path: Path, fps: float | None = None) -> Any:
    """A sample of the modality `video`: a film, or a folder of frames.

    Raises:
        BadInput: no film, or none that can be read.
        BadOption: a rate that makes no sense, or is given for a file.
    """
    part = find_part(ReaderSpec, "video") if path.is_dir() else readers.find_reader(path)
    if part.spec.modality != "video":
        raise BadInput(f"{path} holds {part.spec.modality}; give a film, or a folder of its frames")
    with part.explain_missing_extra():
        return part.load()().read(path, **({} if fps is None else {"fps": fps}))


@dataclass(frozen=True)
class FilmWindow(modalities.Window):
    """A window of a film: `sample` is its events, as the modality `event` has them; there may be none.

    Attributes:
        picture: its frame in the middle, uint8 (height, width, 3); of a window that ends before the place where a
            full one has its middle, the first frame. None where the film is played without pictures.
    """

    picture: np.ndarray | None = field(repr=False)

    @property
    def measures(self) -> dict[str, float]:
        """What heads may know of it beside embeddings: `events`, `frames`, and `pixels` of a frame."""
        pixels = self.sample.width * self.sample.height
        return {"events": float(len(self.sample)), "frames": float(self.frames), "pixels": float(pixels)}


class FilmPass:
    """Plays a film once; windows come as it plays, in memory that does not grow with it, but for the frames' times.

    Attributes:
        times: when each frame was shown that has been played so far, microseconds since the first.
        making: what shapes the events of a window, as text; the stride is none of it.
    """

    def __init__(
        self,
        film: Any,
        *,
        frames: int = 16,
        stride: int | None = None,
        threshold: float = 25.0,
        pictures: bool = True,
        side: int | None = None,
    ) -> None:
        """Nothing is played yet.

        Args:
            film: a sample of the modality `video`.
            frames, stride: of windows; see `anybind.derive_windows`.
            threshold: gray levels, of 255, by which a pixel must differ from the frame before it to fire.
            pictures: whether windows have one.
            side: pictures are made smaller until their longer side is no longer than this; None for as they are.

        Raises:
            BadOption: numbers that make no sense.
        """
        self.times = array("q")
        self.making = f"frames={frames},threshold={threshold:g}"
        self._film = film
        self._size, self._step = frames, frames if stride is None else stride
        self._kept: dict[int, np.ndarray] = {}  # frames in colour of windows that are still to come
        self._pictures, self._side = pictures, side
        options = {"frames": frames, "stride": stride, "threshold": threshold}
        self._windows = modalities.derive_windows("event", _Played(self), source="video", **options)

    def __iter__(self) -> Iterator[FilmWindow]:
        """The windows, once.

        Raises:
            BadInput: what the film raises, after the windows of all frames before that.
        """
        for window in self._windows:
            yield FilmWindow(**vars(window), picture=self._picture(window))

    def play(self) -> Iterator[tuple[int, np.ndarray]]:
        """Gray frames, while times and frames in colour are kept."""
        more = {"look": self._look} if self._pictures else {}
        for time, frame in self._film.frames(gray=True, **more):
            self.times.append(time)
            yield time, frame

    def _look(self, number: int, colour: Callable[[], np.ndarray]) -> None:
        """Called with every frame before it is played, by the thread that decodes."""
        if number % self._step in (0, self._size // 2 % self._step):
            self._kept[number] = colour()

    def _picture(self, window: modalities.Window) -> np.ndarray | None:
        if not self._pictures:
            return None
        middle = window.first + self._size // 2
        picture = self._kept[middle if middle < window.first + window.frames else window.first]
        # What is before the next window, none looks at again; frames that are played ahead lie behind it.
        for number in range(window.first, window.first + self._step):
            self._kept.pop(number, None)
        return picture if self._side is None else shrunk(picture, self._side)


@dataclass(frozen=True)
class _Played:
    """What can be simulated: the film as a pass plays it."""

    film: FilmPass

    def frames(self, *, gray: bool) -> Iterator[tuple[int, np.ndarray]]:
        return self.film.play()


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture, its longer side `side` pixels at most."""
    image = PIL.Image.fromarray(picture)
    image.thumbnail((side, side), reducing_gap=1.0)  # whole pixels are put together first, which takes a seventh
    return np.asarray(image)
