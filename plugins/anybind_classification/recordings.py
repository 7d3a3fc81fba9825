"""Classification of recordings over time: answers of windows, smoothed, and a summary per recording."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore, load, normalize
from anybind.plugin import BadInput, BadOption, Head, errors, files, loops, prompts, readers, tables, windows
from anybind_classification.classification import Classification, Ranker, build_ranker

MEAN, EXPONENTIAL = "mean", "exponential"
SMOOTHINGS = (MEAN, EXPONENTIAL)
"""How the embeddings of windows are smoothed over time."""


@dataclass(frozen=True)
class WindowClassification:
    """The answer of one window of a recording.

    Attributes:
        start_us, end_us: its times, start <= t < end, in microseconds after the start of the recording.
        intensity: see `SampleWindow.intensity`.
        answer: the scores of all labels, or why there are none.
    """

    start_us: int
    end_us: int
    intensity: float
    answer: Classification

    @property
    def name(self) -> str:
        """The label, or why there is none."""
        return self.answer.label or self.answer.inactivity

    @property
    def probability(self) -> float:
        """The probability of the label; 0 without one."""
        return self.answer.scores[0].probability if self.answer.scores else 0.0


@dataclass(frozen=True)
class LabelShare:
    """The share of time of one label, or of one kind of inactivity, in a recording.

    Attributes:
        label: the label, or for instance `nothing moved`.
        fraction: fraction of the time of all windows, 0 to 1.
        inactive: whether it stands for windows without a label.
    """

    label: str
    fraction: float
    inactive: bool = False


@dataclass(frozen=True)
class RecordingClassification:
    """The answers of a recording over time.

    Attributes:
        summary: the classification of the mean embedding of all windows, without smoothing.
        windows: the answers of the windows, in order; a single one for a recording that is not divided.
        shares: share of time of each label that is the answer of a window, the largest first.
        is_whole: whether the recording is one unchanged window, and no option divides it into windows.
    """

    summary: Classification
    windows: tuple[WindowClassification, ...]
    shares: tuple[LabelShare, ...]
    is_whole: bool

    @property
    def id(self) -> str:
        """Path of the file."""
        return self.summary.id

    def list_runs(self) -> list[tuple[WindowClassification, WindowClassification, float]]:
        """Return runs of windows with one answer: the first and the last window, and the highest probability."""
        runs: list[list[WindowClassification]] = []
        for window in self.windows:
            if runs and runs[-1][-1].name == window.name:
                runs[-1].append(window)
            else:
                runs.append([window])
        return [(run[0], run[-1], max(window.probability for window in run)) for run in runs]


def classify_windows(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    labels: Sequence[str] = (),
    *,
    options: windows.WindowOptions | None = None,
    smooth: int = 1,
    smoothing: str = MEAN,
    head: str | os.PathLike[str] | Head | None = None,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    templates: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> list[RecordingClassification]:
    """Classify recordings over time by text labels (zero-shot), or by a fitted head.

    By default, event recordings of more than 0.6 s have windows of a length chosen by content, sounds of more than 10 s
    windows of 5 s; shorter ones, and samples of other modalities, are one window. Windows in which nothing happens have
    no label.

    Args:
        paths, labels, head, binding, modality, templates, seed, device, store, on_bad, reader_options: see
            `classify`.
        options: part of each recording, and its windows.
        smooth: number of windows, above 0, that an answer takes into account: it and the ones before, without those in
            which nothing happens. 1: no smoothing.
        smoothing: `mean`: of the embeddings of the last `smooth` windows; `exponential`: all windows before, with
            weights that fall by 1 - 2 / (`smooth` + 1) from window to window.

    Returns:
        one result per file, in the order of the files.

    Raises:
        BadOption, UnknownName, BadInput: as `classify`, and for invalid windows or smoothing.
    """
    smooth = check_smoothing(smooth, smoothing)
    labels = prompts.list_labels(labels)
    if bool(labels) == (head is not None):  # before the binding is loaded
        raise BadOption(f"expected either labels or a head, got {'both' if labels else 'neither'}")
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    binder, rank = build_ranker(binder, labels, templates, head)
    sample_paths = readers.list_sample_files(
        files.list_paths(paths), [name for name in binder.modalities if name != "text"]
    )
    groups = (
        {modality: sample_paths} if modality else readers.group_by_modality(sample_paths, binder.modalities, on_bad)
    )
    recordings: list[RecordingClassification] = []
    options = options or windows.WindowOptions()
    with loops.progress_bar(len(sample_paths), "classifying") as advance:
        for name, group in readers.make_items(groups, reader_options).items():
            embedded = windows.embed_windows(
                binder, name, group, options, on_bad=on_bad, advance=advance, derive_seed=seed if modality else None
            )
            for each in embedded:
                recording = classify_recording(each, rank, smooth, smoothing)
                recordings.append(replace(recording, is_whole=recording.is_whole and not options.has_windows))
    if not recordings:
        raise BadInput("no file could be classified")
    positions = {files.portable_name(path): position for position, path in enumerate(sample_paths)}
    return sorted(recordings, key=lambda recording: positions[recording.id])


def check_smoothing(smooth: int, smoothing: str) -> int:
    """Return the number of windows; raise `BadOption` unless the smoothing exists, over at least one window."""
    if smoothing not in SMOOTHINGS:
        raise BadOption(f"expected a smoothing of {' or '.join(SMOOTHINGS)}, got {smoothing!r}")
    return tables.check_count("smooth", smooth)


def classify_recording(
    recording: windows.EmbeddedRecording, rank: Ranker, smooth: int = 1, smoothing: str = MEAN
) -> RecordingClassification:
    """Classify the windows of an embedded recording; see `classify_windows`."""
    id, modality = recording.item.id, recording.embeddings.modality
    smoothed = smooth_embeddings(recording.embeddings, smooth, smoothing)
    ranked = rank(smoothed) if recording.is_active else []
    answers = dict(zip(recording.embedded, ranked, strict=False))  # nothing is ranked where nothing happens
    classified = tuple(
        WindowClassification(
            window.start_us,
            window.end_us,
            window.intensity,
            replace(answers[number], id=id)
            if number in answers
            else Classification(id, modality, (), window.inactivity or "invalid"),
        )
        for number, window in enumerate(recording.windows)
    )
    shares = _compute_shares(classified)
    summary = rank(recording.average())[0] if ranked else Classification(id, modality, (), shares[0].label)
    return RecordingClassification(summary, classified, shares, recording.is_whole)


def smooth_embeddings(embeddings: Embeddings, smooth: int, smoothing: str = MEAN) -> Embeddings:
    """Smooth embeddings over time: each row with those before it; see `classify_windows`.

    Args:
        embeddings: one row for each window, in order.
        smooth: number of windows, 1 or more.
        smoothing: `mean` or `exponential`.
    """
    if smooth == 1 or len(embeddings) < 2:
        return embeddings
    vectors = embeddings.vectors.astype(np.float64)
    if smoothing == MEAN:
        sums = np.cumsum(vectors, axis=0)
        sums[smooth:] -= sums[:-smooth].copy()
        return replace(embeddings, vectors=normalize(sums, "smoothed embedding"))
    alpha = 2 / (smooth + 1)
    for row in range(1, len(vectors)):
        vectors[row] = alpha * vectors[row] + (1 - alpha) * vectors[row - 1]
    return replace(embeddings, vectors=normalize(vectors, "smoothed embedding"))


def _compute_shares(classified: Iterable[WindowClassification]) -> tuple[LabelShare, ...]:
    durations: dict[tuple[str, bool], int] = defaultdict(int)
    for window in classified:
        durations[window.name, not window.answer.label] += max(1, window.end_us - window.start_us)
    total = sum(durations.values())
    ordered = sorted(durations.items(), key=lambda each: -each[1])
    return tuple(LabelShare(name, duration / total, inactive) for (name, inactive), duration in ordered)


def iterate_records(recording: RecordingClassification, score_name: str = "cosine") -> Iterator[dict[str, object]]:
    """Yield JSON-like records: one for each window, unless the recording is not divided, then the summary."""
    if not recording.is_whole:
        for window in recording.windows:
            times = {"start_us": window.start_us, "end_us": window.end_us, "intensity": window.intensity}
            yield {"file": recording.id, **times, **_make_record(window.answer, score_name)}
    summary = recording.summary
    record = {"file": recording.id, "modality": summary.modality, **_make_record(summary, score_name)}
    if not recording.is_whole:
        record |= {"windows": len(recording.windows), "shares": [vars(share) for share in recording.shares]}
    yield record


def _make_record(answer: Classification, score_name: str) -> dict[str, object]:
    scores = [
        {"label": score.label, score_name: score.score, "probability": score.probability} for score in answer.scores
    ]
    inactivity = {"inactivity": answer.inactivity} if answer.inactivity else {}
    return {"label": answer.label or None, **inactivity, "scores": scores}
