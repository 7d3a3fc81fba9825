"""The HTML page of a scored video: timeline, segments with images, and settings. One file without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import files, pages
from anybind_vad.scores import VideoScores
from anybind_vad.segments import Segment
from anybind_vad.snapshots import Snapshot, select_evenly

STRIP_IMAGES = 12
"""Images along the timeline of a long video."""
SHORT_STRIP_IMAGES = 6
"""Images along the timeline of a video with fewer snapshots."""
MAX_CARDS = 24
"""Segments shown with images: those with the highest peaks."""


def save_page(path: Path, scores: VideoScores, snapshots: Sequence[Snapshot]) -> None:
    """Write the page atomically.

    Args:
        path: the file.
        scores: scores of at least one window.
        snapshots: images of the video, in temporal order.

    Raises:
        BadInput: the file is not writable.
    """
    starts, ends = scores.spans[:, 2], scores.spans[:, 3]
    seconds, end = np.maximum(ends - starts, 1) / 1e6, scores.end_us
    cards = sorted(scores.segments, key=lambda segment: -segment.score)[:MAX_CARDS]
    score_chart = pages.draw_steps(
        scores.times_us / 1e6,
        end / 1e6,
        scores.frame_scores,
        label="anomaly score of each frame",
        threshold=scores.threshold,
        bands=[(segment.start, segment.end) for segment in scores.segments],
    )
    rates = scores.events / seconds / 1000
    rate_chart = pages.draw_steps(
        starts / 1e6, end / 1e6, rates, label="event rate in thousands per second", colour=5, height=64
    )
    pages.save_page(
        path,
        "anybind_vad",
        "page.html",
        title=files.portable_name(scores.path.resolve().name),
        duration=pages.format_time(end / 1e6, 1),
        frames=len(scores.times_us),
        windows=len(scores.spans),
        problem=scores.problem,
        charts=[score_chart, rate_chart],
        threshold=scores.threshold,
        strip=_make_strip(snapshots, end),
        cards=[_make_card(segment, snapshots) for segment in sorted(cards, key=lambda segment: segment.first)],
        count=len(scores.segments),
        fraction=sum(segment.end - segment.start for segment in scores.segments) / max(end / 1e6, 1e-9),
        settings=_format_settings(scores.settings),
    )


def _format_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings with readable names and values."""
    readable = {name.replace("_", " "): value for name, value in settings.items() if value is not None}
    head, encoders = settings["head"], settings["encoders"]
    assert isinstance(head, Mapping)
    assert isinstance(encoders, Mapping)
    readable["head"] = f"{head['name']} {head['identity']}"
    readable |= {f"head: {name}": _format_value(value) for name, value in head["settings"].items() if value is not None}
    identities = [f"{modality} {identity}" for modality, identity in encoders.items()]
    readable["encoders"] = _format_value(identities) or "none"
    return readable


def _format_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _make_strip(snapshots: Sequence[Snapshot], end_us: int) -> list[tuple[str, str]]:
    """Return frames along the video, and their times."""
    with_frame = [snapshot for snapshot in snapshots if snapshot.frame]
    count = STRIP_IMAGES if len(with_frame) >= STRIP_IMAGES else min(SHORT_STRIP_IMAGES, len(with_frame))
    selected = select_evenly(with_frame, end_us, count)
    return [(snapshot.frame, pages.format_time(snapshot.middle_us / 1e6, 1)) for snapshot in selected]


def _make_card(segment: Segment, snapshots: Sequence[Snapshot]) -> dict[str, object]:
    """Return the card of a segment, with the images of the snapshot at its peak, or of its best snapshot."""
    inside = [snapshot for snapshot in snapshots if snapshot.overlaps(segment.first, segment.last)]
    at_peak = [snapshot for snapshot in inside if snapshot.overlaps(segment.peak_frame, segment.peak_frame)]
    best = max(at_peak or inside, key=lambda snapshot: snapshot.score, default=None)
    return {
        "span": f"{pages.format_time(segment.start, 1)} to {pages.format_time(segment.end, 1)}",
        "frames": f"frames {segment.first} to {segment.last}",
        "peak": f"{segment.score:.3g} at {pages.format_time(segment.peak, 1)}, frame {segment.peak_frame}",
        "frame": best.frame if best else "",
        "events": best.events if best else "",
    }
