"""The scores of a whole film, made a group of windows at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anybind import Binder
from anybind.plugin import BadInput, Head
from anybind_vad.embed import BATCH, embed_windows, grouped, one_ahead
from anybind_vad.gallery import Gallery
from anybind_vad.score_log import ScoreLog
from anybind_vad.segments import frame_scores
from anybind_vad.windows import FilmPass


@dataclass(frozen=True, eq=False)
class FilmScores:
    """What was found of a film.

    Attributes:
        firsts, lengths: of each window, the number of its first frame and how many it has.
        starts_us, ends_us: of each window, in microseconds since the film's first frame.
        events: of each window, how many.
        scores: of each window, float32, larger is more abnormal.
        times_us: when each frame is shown.
        problem: what was wrong with the film, where it could not be played to its end; else empty.
    """

    firsts: np.ndarray
    lengths: np.ndarray
    starts_us: np.ndarray
    ends_us: np.ndarray
    events: np.ndarray
    scores: np.ndarray
    times_us: np.ndarray
    problem: str = ""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def end_us(self) -> int:
        """When the last frame is no longer shown."""
        return int(self.ends_us[-1])

    @property
    def frame_scores(self) -> np.ndarray:
        """The score of each frame, float64: the mean over the windows that it is in."""
        return frame_scores(self.firsts.tolist(), self.lengths.tolist(), self.scores, len(self.times_us))


def score_film(
    film: FilmPass,
    binder: Binder,
    head: Head,
    *,
    batch_size: int = BATCH,
    log: ScoreLog | None = None,
    gallery: Gallery | None = None,
    advance: Callable[[int], object] = lambda count: None,
) -> FilmScores:
    """Score a film while it plays: of its windows, only numbers are kept.

    Windows are embedded and scored in groups of `batch_size`. Groups that a log already holds are played and not
    embedded again; since a group is made of the same windows each time, the others get the very same scores.

    Args:
        film: not yet played.
        binder: embeds what the head needs.
        head: prepared, and fitted where it learns.
        batch_size: windows of a group.
        log: takes every full group's scores as they come.
        gallery: is shown every window with its score.
        advance: told how many windows were scored since it was last told.

    Returns:
        the scores; of a film that cannot be played to its end, those of the windows before that.

    Raises:
        BadInput: the film gives no window at all.
    """
    numbers = [array("q") for _ in range(5)]
    scores, problem = array("f"), ""
    known = list(log.done) if log else []
    try:
        for place, group in enumerate(one_ahead(grouped(film, batch_size))):
            if place < len(known) and len(known[place]) == len(group):
                found = [float(score) for score in known[place]]
            else:
                held = embed_windows(binder, group, head.needs, batch_size, making=film.making)
                found = head.score(held).tolist()
                if log is not None and len(group) == batch_size:
                    log.append(found)
            for window, score in zip(group, found, strict=True):
                told = window.first, window.frames, window.start_us, window.end_us, len(window.sample)
                for column, value in zip(numbers, told, strict=True):
                    column.append(value)
                if gallery is not None:
                    gallery.offer(len(scores), window, score)
                scores.append(score)
            advance(len(group))
    except BadInput as error:
        if not scores:
            raise
        problem = str(error)
    columns = [np.array(column, dtype=np.int64) for column in numbers]
    # Frames that were played behind the last window, when a film breaks, are in none.
    seen = int((columns[0] + columns[1]).max()) if scores else 0
    times = np.array(film.times, dtype=np.int64)[:seen]
    return FilmScores(*columns, scores=np.array(scores, dtype=np.float32), times_us=times, problem=problem)
