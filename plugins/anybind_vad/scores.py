"""`score_video`: how abnormal each window and each frame of a video is, and the abnormal segments."""

from __future__ import annotations

import os
import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import AnybindWarning, Binder, Binding, EmbeddingStore, find_binding, load
from anybind.plugin import BadInput, BadOption, Head, charts, progress_bar
from anybind_vad.embedding import BATCH_SIZE, EmbeddedVideo, WindowBatch
from anybind_vad.snapshots import SNAPSHOT_SIDE, SnapshotCollector
from anybind_vad.presets import (
    PAPER,
    WINDOW_FRAMES,
    WindowSettings,
    apply_preset,
    check_count,
    check_number,
    choose_windows,
)
from anybind_vad.segments import Segment, compute_threshold, find_segments, compute_frame_scores, smooth_scores
from anybind_vad.windows import open_video

AUTOMATIC = "median + 3 robust standard deviations"


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Anomaly scores of a video.

    Attributes:
        path: the video.
        fps: its average frame rate in Hz; 0 where it is not known.
        spans: (windows, 4) int64: first frame, number of frames, start and end in microseconds of each window.
        events: (windows,) int64, the number of events of each window.
        window_scores: (windows,) float32, 0 or more, larger is more abnormal.
        times_us: (frames,) int64, presentation time of each frame since the first.
        frame_scores: (frames,) float64: the mean over the windows that a frame is in, smoothed where asked for.
        threshold: segments are the runs of frames that score above it.
        segments: in order.
        problem: why the video could not be decoded to its end; empty if it could.
        settings: everything that shaped the scores, JSON-like.
    """

    path: Path
    fps: float
    spans: np.ndarray
    events: np.ndarray
    window_scores: np.ndarray
    times_us: np.ndarray
    frame_scores: np.ndarray
    threshold: float
    segments: list[Segment]
    problem: str
    settings: Mapping[str, object]

    @property
    def end_us(self) -> int:
        """End of the last frame in microseconds."""
        return int(self.spans[-1, 3])

    def to_dict(self) -> dict[str, object]:
        """All values, JSON-like; times in seconds."""
        windows = zip(self.spans.tolist(), self.events.tolist(), strict=True)
        return {
            "duration": self.end_us / 1e6,
            "complete": not self.problem,
            "problem": self.problem,
            "segments": [vars(segment) for segment in self.segments],
            "window_scores": self.window_scores.tolist(),
            "windows": [
                {"first": first, "frames": frames, "start": start / 1e6, "end": end / 1e6, "events": events}
                for (first, frames, start, end), events in windows
            ],
            "frame_scores": self.frame_scores.tolist(),
            "frame_times": (self.times_us / 1e6).tolist(),
        }


def score_video(
    path: str | os.PathLike[str],
    *,
    head: str | os.PathLike[str] | Head = "zero-shot",
    binding: str | os.PathLike[str] | Binding = "mini",
    preset: str = PAPER,
    threshold: float | None = None,
    clamp: float | None = None,
    frames: int = WINDOW_FRAMES,
    stride: int | None = None,
    fps: float | None = None,
    sigma: float = 0.0,
    score_threshold: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    strict: bool = False,
    collector: SnapshotCollector | None = None,
) -> VideoScores:
    """Score how abnormal each moment of a video is, in memory that does not grow with its pixels.

    Args:
        path: a video file, or a folder of frames.
        head: an anomaly head, by name, by the file it was saved to, or as an object; fitted if it learns.
        binding: embeds windows.
        preset: how the video becomes events: `paper`, `author-readme` or `author-later`.
        threshold: gray levels, of 255, for an event. [default: the preset's]
        clamp: clamp per-pixel event counts at this value. [default: the preset's]
        frames: frames of a window.
        stride: frames from one window to the next. [default: `frames`]
        fps: frame rate of a folder of frames in Hz. [default: 25]
        smooth: standard deviation in seconds of a Gaussian over frame scores; 0 for none.
        above: threshold of segments. [default: the median of frame scores plus three robust standard deviations]
        batch_size: windows embedded at a time.
        device: torch device.
        store: where embeddings are looked up and stored as the video is decoded; an interrupted run resumes from it.
        strict: raise if the video cannot be decoded completely; by default warn, and score what comes before.
        gallery: collects images for a page; see `save_page`.

    Raises:
        UnknownName, BadOption: an option that makes no sense, or a head that has still to be fitted.
        BadInput: not a video, or one without a frame that can be decoded; with `strict` also any other damage.
        SpaceMismatch, WeightsMismatch: the head was fitted on other embeddings.
    """
    _check(sigma, score_threshold, batch_size)
    windows = choose_windows(preset, threshold, frames, stride)
    video = open_video(Path(path), fps)
    bound, applied = apply_preset(binding if isinstance(binding, Binding) else find_binding(binding), preset, clamp)
    binder = load(bound, device=device, store=store)
    scorer = _find_fitted(head)
    with_windows = collector is not None
    embedded = EmbeddedVideo(
        video, binder, scorer.needs, windows, batch_size=batch_size, keep_windows=with_windows, max_side=SNAPSHOT_SIDE, store=store
    )
    scorer.prepare(binder)
    with progress_bar(round(video.duration * video.fps / windows.stride), "scoring") as advance:
        spans, events, window_scores = score_windows(embedded, scorer, collector, advance)
    times = np.array(embedded.times_us, np.int64)
    smoothed = smooth_scores(compute_frame_scores(spans, window_scores, len(times)), times, sigma)
    limit = compute_threshold(smoothed) if score_threshold is None else score_threshold
    segments = find_segments(smoothed, times, int(spans[-1, 3]), limit)
    problem = str(embedded.problem or "")
    settings = _settings(binder, scorer, preset, windows, applied) | {"batch_size": batch_size, "smooth": sigma}
    settings |= {"above": limit, "above_rule": AUTOMATIC if score_threshold is None else "given"}
    result = VideoScores(
        Path(path), video.fps, spans, events, window_scores, times, smoothed, limit, segments, problem, settings
    )
    _warn(result, frames, strict)
    return result


def _check(smooth: float, above: float | None, batch_size: int) -> None:
    check_number("smooth", smooth)
    check_count("batch_size", batch_size)
    if above is not None and not np.isfinite(above):
        raise BadOption(f"above must be a finite number, got {above}")


def _find_fitted(head: str | os.PathLike[str] | Head) -> Head:
    found = head if isinstance(head, Head) else Head.find(head, predicts="anomaly")
    if found.learns != "nothing" and not found.tensors:
        raise BadOption(f"the head {found.name!r} has to be fitted on videos first; give the file of one that is")
    return found


def _settings(
    binder: Binder, head: Head, preset: str, windows: WindowSettings, clamp: float | None
) -> dict[str, object]:
    return {
        "binding": binder.name,
        "encoders": {modality: binder.identity(modality) for modality in head.needs},
        "head": {"name": head.name, "identity": head.identity, "settings": head.settings},
        "preset": preset,
        "threshold": windows.threshold,
        "clamp": clamp,
        "frames": windows.frames,
        "stride": windows.stride,
        "device": binder.device,
    }


def score_windows(
    batches: Iterable[WindowBatch],
    head: Head,
    collector: SnapshotCollector | None = None,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score windows batch by batch; of each window only numbers are kept.

    Args:
        batches: of one video, in order.
        head: prepared, and fitted if it learns.
        gallery: is offered every window with its score, where batches hold them.
        advance: called with the number of windows scored since the last call.

    Returns:
        spans (n, 4), numbers of events (n,) and scores (n,) of the windows; see `VideoScores`.
    """
    spans, events, scores = array("q"), array("q"), array("f")
    for batch in batches:
        found = head.score(batch.inputs)
        if collector is not None:
            for number, window in enumerate(batch.windows):
                collector.add(len(scores) + number, window, float(found[number]))
        spans.extend(batch.spans.ravel().tolist())
        events.extend(batch.inputs.measures["events"].astype(np.int64).tolist())
        scores.extend(found.tolist())
        advance(len(batch.spans))
    return np.array(spans, np.int64).reshape(-1, 4), np.array(events, np.int64), np.array(scores, np.float32)


def _warn(scores: VideoScores, window_frames: int, strict: bool) -> None:
    """Warn of what the scores lack; raise `BadInput` for damage if `strict`."""
    count = len(scores.times_us)
    if scores.problem:
        problem = f"{scores.problem} (scored up to {charts.format_time(scores.end_us / 1e6, True)}, frame {count - 1})"
        if strict:
            raise BadInput(problem)
        warnings.warn(problem, AnybindWarning, stacklevel=3)
    if count < window_frames:
        warnings.warn(
            f"{scores.path} has {count} frames, fewer than the {window_frames} of a window;"
            " scored as one shorter window",
            AnybindWarning,
            stacklevel=3,
        )
    if not scores.events.any():
        warnings.warn(
            f"nothing in {scores.path} changes enough for an event, so nothing of it can be told apart;"
            " lower the threshold",
            AnybindWarning,
            stacklevel=3,
        )
