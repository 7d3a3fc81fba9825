"""The page of a scored film: its timeline, its segments with pictures, and the settings. One file, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import charts, files, pages
from anybind_vad.snapshots import Snapshot, select_evenly
from anybind_vad.scores import VideoScores
from anybind_vad.segments import Segment

STRIP = 12
"""Pictures along the timeline of a long film."""
SHORT_STRIP = 6
"""Of one that has fewer to show."""
CARDS = 24
"""Segments that are shown with pictures: those of the highest peaks."""


def save_page(path: Path, scores: VideoScores, shots: Sequence[Snapshot]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        scores: of at least one window.
        shots: images of the video, in order.

    Raises:
        BadInput: the file cannot be written.
    """
    starts, ends = scores.spans[:, 2], scores.spans[:, 3]
    seconds, end = np.maximum(ends - starts, 1) / 1e6, scores.end_us
    cards = sorted(scores.segments, key=lambda segment: -segment.score)[:CARDS]
    score_chart = charts.draw_steps(
        scores.times_us / 1e6,
        end / 1e6,
        scores.frame_scores,
        label="score of each frame, larger is more abnormal",
        threshold=scores.threshold,
        bands=[(segment.start, segment.end) for segment in scores.segments],
    )
    rates = scores.events / seconds / 1000
    rate_chart = charts.draw_steps(
        starts / 1e6, end / 1e6, rates, label="thousands of events a second: how much moves", colour=5, height=64
    )
    pages.save_page(
        path,
        "anybind_vad",
        "page.html",
        title=files.portable_name(scores.path.resolve().name),
        duration=charts.format_time(end / 1e6, True),
        frames=len(scores.times_us),
        windows=len(scores.spans),
        problem=scores.problem,
        charts=[score_chart, rate_chart],
        above=scores.threshold,
        strip=_strip(shots, end),
        cards=[_card(segment, shots) for segment in sorted(cards, key=lambda segment: segment.first)],
        count=len(scores.segments),
        share=sum(segment.end - segment.start for segment in scores.segments) / max(end / 1e6, 1e-9),
        settings=_settings(scores.settings),
    )


def _settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings by the name that people read."""
    shown = {name.replace("_", " "): value for name, value in settings.items() if value is not None}
    head, encoders = settings["head"], settings["encoders"]
    assert isinstance(head, Mapping)
    assert isinstance(encoders, Mapping)
    shown["head"] = f"{head['name']} {head['identity']}"
    shown |= {f"head: {name}": _plain(value) for name, value in head["settings"].items() if value is not None}
    shown["encoders"] = _plain([f"{modality} {identity}" for modality, identity in encoders.items()]) or "none"
    return shown


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _strip(shots: Sequence[Snapshot], end_us: int) -> list[tuple[str, str]]:
    """Pictures along the film, and their times."""
    held = [shot for shot in shots if shot.frame]
    count = STRIP if len(held) >= STRIP else min(SHORT_STRIP, len(held))
    return [(shot.frame, charts.format_time(shot.middle_us / 1e6, True)) for shot in select_evenly(held, end_us, count)]


def _card(segment: Segment, shots: Sequence[Snapshot]) -> dict[str, object]:
    """What the page says of a segment; its pictures are those of the shot at its peak, or of its best shot."""
    near = [shot for shot in shots if shot.overlaps(segment.first, segment.last)]
    at_peak = [shot for shot in near if shot.overlaps(segment.peak_frame, segment.peak_frame)]
    shot = max(at_peak or near, key=lambda shot: shot.score, default=None)
    return {
        "span": f"{charts.format_time(segment.start, True)} to {charts.format_time(segment.end, True)}",
        "frames": f"frames {segment.first} to {segment.last}",
        "peak": f"{segment.score:.3g} at {charts.format_time(segment.peak, True)}, frame {segment.peak_frame}",
        "frame": shot.frame if shot else "",
        "events": shot.events if shot else "",
    }
