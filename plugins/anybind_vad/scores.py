"""`score_video`: how abnormal each window and each frame of a video is, and the abnormal segments."""

from __future__ import annotations

import os
import warnings
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import AnybindWarning, Binding, EmbeddingStore, find_binding, load
from anybind.plugin import BadInput, BadOption, Head, find_head, progress_bar
from anybind_vad.embedding import BATCH, EmbeddedVideo
from anybind_vad.gallery import SIDE, Gallery
from anybind_vad.presets import PAPER, WINDOW_FRAMES, bind_events, check_count, check_number, choose_windows
from anybind_vad.segments import Segment, automatic_threshold, find_segments, frame_scores, smooth_scores
from anybind_vad.timeline import clock
from anybind_vad.windows import open_video


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
    settings: Mapping[str, Any]

    @property
    def end_us(self) -> int:
        """End of the last frame in microseconds."""
        return int(self.spans[-1, 3])

    def to_dict(self) -> dict[str, Any]:
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
    smooth: float = 0.0,
    above: float | None = None,
    batch_size: int = BATCH,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    strict: bool = False,
    gallery: Gallery | None = None,
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
    check_number("smooth", smooth)
    check_count("batch_size", batch_size)
    if above is not None and not np.isfinite(above):
        raise BadOption(f"above must be a finite number, got {above}")
    windows = choose_windows(preset, threshold, frames, stride)
    video = open_video(Path(path), fps)
    bound, applied = bind_events(binding if isinstance(binding, Binding) else find_binding(binding), preset, clamp)
    binder = load(bound, device=device, store=store)
    scorer = head if isinstance(head, Head) else find_head(head, predicts="anomaly")
    if scorer.learns != "nothing" and not scorer.tensors:
        raise BadOption(f"the head {scorer.name!r} has to be fitted on videos first; give the file of one that is")
    embedded = EmbeddedVideo(
        video,
        binder,
        scorer.needs,
        windows,
        batch_size=batch_size,
        with_windows=gallery is not None,
        side=SIDE,
        store=store,
    )
    scorer.prepare(binder)
    spans, events, scores = array("q"), array("q"), array("f")
    with progress_bar(round(video.duration * video.fps / windows.stride), "scoring") as advance:
        for batch in embedded:
            found = scorer.score(batch.inputs)
            for number, window in enumerate(batch.windows):
                if gallery is not None:
                    gallery.offer(len(scores) + number, window, float(found[number]))
            spans.extend(batch.spans.ravel().tolist())
            events.extend(batch.inputs.measures["events"].astype(np.int64).tolist())
            scores.extend(found.tolist())
            advance(len(batch.spans))
    table, times = np.array(spans, np.int64).reshape(-1, 4), np.array(embedded.times_us, np.int64)
    window_scores = np.array(scores, np.float32)
    smoothed = smooth_scores(frame_scores(table, window_scores, len(times)), times, smooth)
    limit = automatic_threshold(smoothed) if above is None else above
    result = VideoScores(
        path=Path(path),
        fps=video.fps,
        spans=table,
        events=np.array(events, np.int64),
        window_scores=window_scores,
        times_us=times,
        frame_scores=smoothed,
        threshold=limit,
        segments=find_segments(smoothed, times, int(table[-1, 3]), limit),
        problem="" if embedded.problem is None else str(embedded.problem),
        settings={
            "binding": binder.name,
            "encoders": {modality: binder.identity(modality) for modality in scorer.needs},
            "head": {"name": scorer.name, "identity": scorer.identity, "settings": scorer.settings},
            "preset": preset,
            "threshold": windows.threshold,
            "clamp": applied,
            "frames": windows.frames,
            "stride": windows.stride,
            "batch_size": batch_size,
            "device": device,
            "smooth": smooth,
            "above": limit,
            "above_rule": "median + 3 robust standard deviations" if above is None else "given",
        },
    )
    _warn(result, strict)
    return result


def _warn(scores: VideoScores, strict: bool) -> None:
    """Warn of what the scores lack; raise `BadInput` for damage if `strict`."""
    count, frames = len(scores.times_us), scores.settings["frames"]
    if scores.problem:
        problem = f"{scores.problem} (scored up to {clock(scores.end_us / 1e6, True)}, frame {count - 1})"
        if strict:
            raise BadInput(problem)
        warnings.warn(problem, AnybindWarning, stacklevel=3)
    if count < frames:
        warnings.warn(
            f"{scores.path} has {count} frames, fewer than the {frames} of a window; scored as one shorter window",
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
