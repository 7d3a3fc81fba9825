"""Event samples of a film's consecutive frames, with the times at which they begin and end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anybind.plugin import BadInput, modalities
from anybind_events.simulation.film import Film, frame_windows
from anybind_events.stream import EventStream


class Timed:
    """A film that remembers when its last frames were shown, as it is played."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.times: dict[int, int] = {}  # written by the thread that decodes
        self.oldest = 0

    def frames(self, *, gray: bool) -> Iterator[tuple[int, np.ndarray]]:
        """The film's own frames and times."""
        for number, (time, frame) in enumerate(self.film.frames(gray=gray)):
            self.times[number] = time
            yield time, frame

    def window(self, numbers: range, stream: EventStream) -> modalities.Window:
        """A window of these frames. It ends when the frame behind it begins.

        Behind the film's last frame there is none: that one lasts as long as the one before it, and alone no time.
        """
        last = numbers[-1]
        end = self.times.get(last + 1)
        if end is None:
            end = 2 * self.times[last] - self.times.get(last - 1, self.times[last])
        window = modalities.Window(numbers.start, len(numbers), self.times[numbers.start], end, stream)
        for number in range(self.oldest, numbers.start):
            del self.times[number]
        self.oldest = numbers.start
        return window


def film_windows(film: Film, *, frames: int, stride: int, threshold: float) -> Iterator[modalities.Window]:
    """`frame_windows` with times, each handed on when the next one is known: only then is its end.

    Raises:
        BadOption: as `frame_windows`.
        BadInput: as `frame_windows`, after all windows of the frames before the damage.
    """
    timed = Timed(film)
    held: tuple[range, EventStream] | None = None
    damage: BadInput | None = None
    try:
        for each in frame_windows(timed, frames=frames, stride=stride, threshold=threshold):
            if held is not None:
                yield timed.window(*held)
            held = each
    except BadInput as error:
        damage = error
    if held is not None:
        yield timed.window(*held)
    if damage is not None:
        raise damage
