"""The page of a scored film: its timeline, its segments with pictures, and the settings. One file, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anybind.pages import save_page
from anybind_vad.gallery import Shot, spread
from anybind_vad.scores import FilmScores
from anybind_vad.segments import Segment
from anybind_vad.timeline import bands, chart, clock, ticks

STRIP = 12
"""Pictures along the timeline of a long film."""
SHORT_STRIP = 6
"""Of one that has fewer to show."""
CARDS = 24
"""Segments that are shown with pictures: those of the highest peaks."""


def write_page(
    path: Path,
    title: str,
    scored: FilmScores,
    frame_scores: np.ndarray,
    segments: Sequence[Segment],
    above: float,
    shots: Sequence[Shot],
    settings: Mapping[str, Any],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        title: what the film is called.
        scored: of at least one window.
        frame_scores: (frames,), as they are to be shown.
        segments: in order.
        above: the threshold that they are above.
        shots: pictures of the film, in order.
        settings: told at the end of the page, by name.

    Raises:
        BadInput: the file cannot be written.
    """
    seconds = np.maximum(scored.ends_us - scored.starts_us, 1) / 1e6
    end = scored.end_us
    shown = sorted(sorted(segments, key=lambda segment: -segment.score)[:CARDS], key=lambda segment: segment.first)
    scores = chart(scored.times_us, end, frame_scores, above)
    save_page(
        path,
        "anybind_vad",
        "vad/page.html",
        title=title,
        duration=clock(end / 1e6, True),
        frames=len(scored.times_us),
        windows=len(scored),
        problem=scored.problem,
        scores=scores,
        rates=chart(scored.starts_us, end, scored.events / seconds),
        above=above,
        above_height=scores.height_of(above),
        bands=bands(segments, end),
        ticks=ticks(end),
        strip=_strip(shots, end),
        cards=[_card(segment, shots) for segment in shown],
        count=len(segments),
        share=sum(segment.end - segment.start for segment in segments) / max(end / 1e6, 1e-9),
        settings=settings,
    )


def _strip(shots: Sequence[Shot], end_us: int) -> list[tuple[str, str]]:
    """Pictures along the film, and their times."""
    held = [shot for shot in shots if shot.frame]
    count = STRIP if len(held) >= STRIP else min(SHORT_STRIP, len(held))
    return [(shot.frame, clock(shot.middle_us / 1e6, True)) for shot in spread(held, end_us, count)]


def _card(segment: Segment, shots: Sequence[Shot]) -> dict[str, Any]:
    """What the page says of a segment; its pictures are those of the shot at its peak, or of its best shot."""
    near = [shot for shot in shots if shot.near(segment.first, segment.last)]
    at_peak = [shot for shot in near if shot.near(segment.peak_frame, segment.peak_frame)]
    shot = max(at_peak or near, key=lambda shot: shot.score, default=None)
    return {
        "span": f"{clock(segment.start, True)} to {clock(segment.end, True)}",
        "frames": f"frames {segment.first} to {segment.last}",
        "peak": f"{segment.score:.3g} at {clock(segment.peak, True)}, frame {segment.peak_frame}",
        "frame": shot.frame if shot else "",
        "events": shot.events if shot else "",
    }
