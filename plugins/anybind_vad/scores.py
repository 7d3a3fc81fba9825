"""`score_video`: anomaly scores of the windows and frames of a video, and its abnormal segments."""

from __future__ import annotations

import os
import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import AnybindWarning, Binder, Binding, EmbeddingStore, find_binding, load
from anybind.plugin import BadInput, BadOption, Head, loops, pages
from anybind_vad.embedding import BATCH_SIZE, EmbeddedVideo, WindowBatch, get_window_vectors
from anybind_vad.opening import open_video
from anybind_vad.presets import (
    MERGE,
    PAPER,
    WINDOW_FRAMES,
    WindowSettings,
    apply_preset,
    check_count,
    check_number,
    check_smoothing,
    choose_windows,
)
from anybind_vad.recordings import EventRecording
from anybind_vad.segments import (
    SIMILARITY,
    TIME,
    Segment,
    compute_threshold,
    count_scored_frames,
    find_segments,
    smooth_frame_scores,
)
from anybind_vad.snapshots import SNAPSHOT_SIDE, SnapshotCollector

AUTOMATIC = "median + 3 robust standard deviations"


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Anomaly scores of a video.

    Attributes:
        path: the video.
        fps: average frame rate in Hz; 0 if unknown.
        spans: (windows, 4) int64: first frame, number of frames, start and end in microseconds of each window.
        events: (windows,) int64, the number of events of each window.
        window_scores: (windows,) float32, 0 or more, larger is more abnormal.
        times_us: (frames,) int64, presentation time of each frame in microseconds since the first.
        frame_scores: (frames,) float64: mean over the windows that contain a frame, smoothed if `sigma` is above 0.
        threshold: score threshold of segments.
        segments: runs of frames with scores above the threshold, in order.
        problem: decoding error; empty if the video was decoded completely.
        settings: all settings of the scores, JSON-like.
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
        """Return all values, JSON-like; times in seconds."""
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
    binding: str | os.PathLike[str] | Binding | Binder = "mini",
    preset: str = PAPER,
    threshold: float | None = None,
    clamp: float | None = None,
    frames: int = WINDOW_FRAMES,
    stride: int | None = None,
    last: str = MERGE,
    fps: float | None = None,
    sigma: float = 0.0,
    smoothing: str = TIME,
    score_threshold: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    backend: str = "auto",
    store: EmbeddingStore | None = None,
    strict: bool = False,
    collector: SnapshotCollector | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> VideoScores:
    """Score each frame of a video for anomalies, in memory independent of the number of pixels.

    Args:
        path: a video file, a folder of frames, or an event recording.
        head: anomaly head by name, by its file, or as an object; fitted if it is trainable.
        binding: binding that embeds the windows; of a binder, its binding, device, backend and store.
        preset: preset of event generation: `paper`, `author-readme` or `author-later`.
        threshold: event threshold in gray levels of 255. [default: the preset's]
        clamp: clamp per-pixel event counts at this value. [default: the preset's]
        frames, stride: window length and window stride in frames; the stride is `frames` by default.
        last: last frames that do not fill a window: `merge` them into the window before, or `drop` them.
        fps: frame rate of a folder of frames or an event recording in Hz. [default: 25]
        sigma: Gaussian smoothing of frame scores: standard deviation in seconds; 0 for none.
        smoothing: `time`, or `similarity`, with embeddings in memory; see `smooth_frame_scores`.
        score_threshold: score threshold of segments. [default: median + 3 robust standard deviations]
        batch_size: windows embedded at a time.
        device, backend, store: as for `anybind.load`; an interrupted run resumes from the store.
        strict: raise if the video cannot be decoded completely. [default: warn, and score the decoded frames]
        collector: collects images for a page; see `save_page`.
        reader_options: options of the reader, such as `source` for one of several cameras.

    Raises:
        UnknownName, BadOption, SpaceMismatch, WeightsMismatch: an invalid option, or a head not fitted for it.
        BadInput: not a video, or no frame can be decoded; with `strict` also any other decoding error.
    """
    scorer = _load_fitted_head(head)
    _check_options(sigma, score_threshold, batch_size, smoothing, scorer)
    windows = choose_windows(preset, threshold, frames, stride, last)
    video = open_video(Path(path), **{"fps": fps, **(reader_options or {})})
    binder, clamp = _load_binder(binding, preset, clamp, device=device, backend=backend, store=store)
    embedded = EmbeddedVideo(
        video, binder, scorer.needs, windows, batch_size=batch_size, keep_windows=collector is not None,
        max_side=SNAPSHOT_SIDE, store=binder.store)  # fmt: skip
    scorer.prepare(binder)
    with loops.progress_bar(round(video.duration * video.fps / windows.stride), "scoring") as advance:
        spans, events, scores, vectors = score_windows(embedded, scorer, collector, advance, smoothing == SIMILARITY)
    times = np.array(embedded.times_us, np.int64)[: count_scored_frames(spans)]
    smoothed = smooth_frame_scores(spans, scores, times, sigma, vectors)
    limit = compute_threshold(smoothed) if score_threshold is None else score_threshold
    settings = _make_settings(binder, scorer, preset, windows, clamp)
    settings |= {"batch_size": batch_size, "sigma": sigma, "smoothing": smoothing, "score_threshold": limit}
    settings["score_threshold_rule"] = AUTOMATIC if score_threshold is None else "given"
    result = VideoScores(
        Path(path), video.fps, spans, events, scores, times, smoothed, limit,
        find_segments(smoothed, times, int(spans[-1, 3]), limit), str(embedded.problem or ""), settings)  # fmt: skip
    _report_problems(result, frames, strict, isinstance(video, EventRecording))
    return result


def _check_options(sigma: float, score_threshold: float | None, batch_size: int, smoothing: str, head: Head) -> None:
    check_number("sigma", sigma)
    check_smoothing(smoothing, sigma, head.needs)
    check_count("batch_size", batch_size)
    if score_threshold is not None and not np.isfinite(score_threshold):
        raise BadOption(f"score_threshold: expected a finite number, got {score_threshold}")


def _load_binder(
    binding: str | os.PathLike[str] | Binding | Binder,
    preset: str,
    clamp: float | None,
    *,
    device: str,
    backend: str,
    store: EmbeddingStore | None,
) -> tuple[Binder, float | None]:
    """Load a binding, or that of a binder, with a preset; see `apply_preset`."""
    if isinstance(binding, Binder):
        changed, clamp = apply_preset(binding.binding, preset, clamp)
        return Binder(changed, binding.device, binding.store, binding.options, backend=binding.backend), clamp
    changed, clamp = apply_preset(binding if isinstance(binding, Binding) else find_binding(binding), preset, clamp)
    return load(changed, device=device, backend=backend, store=store), clamp


def _load_fitted_head(head: str | os.PathLike[str] | Head) -> Head:
    head = head if isinstance(head, Head) else Head.find(head, predicts="anomaly")
    if head.learns != "nothing" and not head.tensors:
        raise BadOption(f"the head {head.name!r} is not fitted: give the file of a fitted head")
    return head


def _make_settings(
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
        "difference": windows.difference,
        "last": windows.last,
        "device": binder.device,
    }


def score_windows(
    batches: Iterable[WindowBatch],
    head: Head,
    collector: SnapshotCollector | None = None,
    advance: Callable[[int], object] = lambda count: None,
    keep_vectors: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Score windows batch by batch; only numbers of each window stay in memory.

    Args:
        batches: batches of one video, in order.
        head: prepared, and fitted if it is trainable.
        collector: collects images of windows, if the batches have them.
        advance: called with the number of windows scored since the last call.
        keep_vectors: return the embeddings of the windows in the head's first modality.

    Returns:
        spans (n, 4), numbers of events (n,) and scores (n,) of the windows, see `VideoScores`; and their embeddings
        (n, d) or None.
    """
    vectors: list[np.ndarray] = []
    spans, events, scores = array("q"), array("q"), array("f")
    for batch in batches:
        batch_scores = head.score(batch.inputs)
        if keep_vectors:
            vectors.append(get_window_vectors(batch.inputs, head.needs[0]))
        if collector is not None:
            for number, window in enumerate(batch.windows):
                collector.add(len(scores) + number, window, float(batch_scores[number]))
        spans.extend(batch.spans.ravel().tolist())
        events.extend(batch.inputs.measures["events"].astype(np.int64).tolist())
        scores.extend(batch_scores.tolist())
        advance(len(batch.spans))
    joined = np.concatenate(vectors) if keep_vectors else None
    return np.array(spans, np.int64).reshape(-1, 4), np.array(events, np.int64), np.array(scores, np.float32), joined


def _report_problems(scores: VideoScores, window_frames: int, strict: bool, is_recording: bool) -> None:
    """Warn of a decoding error (raise it if `strict`), a short video, and a video without events."""
    count = len(scores.times_us)
    messages = []
    if scores.problem:
        end = pages.format_time(scores.end_us / 1e6, 1)
        messages.append(f"{scores.problem} (scored up to {end}, frame {count - 1})")
        if strict:
            raise BadInput(messages[0])
    if count < window_frames:
        messages.append(
            f"{scores.path} has {count} frames, fewer than a window of {window_frames}; scored as one shorter window"
        )
    if not scores.events.any():
        reason = "" if is_recording else ": no pixel changes by the event threshold (lower --threshold)"
        messages.append(f"{scores.path} has no events{reason}, and all scores are equal")
    for message in messages:
        warnings.warn(message, AnybindWarning, stacklevel=3)
