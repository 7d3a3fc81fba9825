"""Evaluation of zero-shot classification on the windows of labelled recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import Binder, Result
from anybind.plugin import BadInput, Dataset, Item, errors, files, intervals, loops, prompts, windows
from anybind_classification.classification import build_ranker
from anybind_classification.recordings import MEAN, RecordingClassification, classify_recording

TOP_K = 3
"""Labels of `top3`."""


@dataclass(frozen=True, eq=False)
class LabelledRecording:
    """A recording with its label and its answers."""

    item: Item
    answers: RecordingClassification


def evaluate_windows(
    binder: Binder,
    dataset: Dataset,
    candidates: Sequence[str],
    options: windows.WindowOptions,
    *,
    modality: str,
    templates: Sequence[str] | None = None,
    smooth: int = 1,
    smoothing: str = MEAN,
    seed: int = 0,
    on_bad: errors.OnBad | None = None,
    page: str | None = None,
    task: str = "zero-shot",
) -> Result:
    """Evaluate the answers of all windows of labelled recordings.

    A window in which nothing happens is an abstention: not correct in `top1` and `top3`. The intervals are over
    bootstrap resamples of the recordings: windows of one recording are not independent.

    Args:
        binder, dataset: the binding, and recordings with labels.
        candidates: class names to choose among.
        options: part of each recording, and its windows.
        modality, templates, smooth, smoothing, on_bad: as for `classify_windows`.
        seed: seed of the bootstrap and of derived samples.
        page, task: path of an HTML page to write, and name of the task in the result.

    Returns:
        `top1`, `top3` and `mean_per_class` of windows, `top1_answered` of those with an answer, `answered` (their
        share), `recording_top1` of the mean embeddings. Details: `recordings` (number), `classes`, `rows` (classes of
        the dataset), `confusion` (windows; columns: `classes`, then abstentions), `per_class`, `windows` (records).

    Raises:
        BadInput: no valid recordings.
    """
    if page:
        files.check_output(page, files.PAGE_SUFFIXES)
    (binder, rank), recordings = build_ranker(binder, candidates, templates, None), []
    with loops.progress_bar(len(dataset.items), "evaluating windows") as advance:
        for each in windows.embed_windows(
            binder, modality, dataset.items, options, derive_seed=seed, on_bad=on_bad, advance=advance
        ):
            recordings.append(LabelledRecording(each.item, classify_recording(each, rank, smooth, smoothing)))
    if not recordings:
        raise BadInput(f"{dataset.name}: no valid recordings")
    counts = _count_hits(recordings)
    chance = dict.fromkeys(("top1", "mean_per_class", "top1_answered", "recording_top1"), 1 / len(candidates))
    result = Result(
        task=task,
        dataset=dataset.name,
        split_hash=dataset.split_hash,
        binding=binder.name,
        modality=modality,
        encoders={name: binder.identity(name) for name in (modality, "text")},
        seed=seed,
        n=int(counts[:, 0].sum()),
        gallery_size=len(candidates),
        metrics=_compute_metrics(counts, np.ones(len(recordings)), recordings),
        intervals=_bootstrap(counts, recordings, seed),
        chance=chance | {"top3": min(TOP_K / len(candidates), 1.0)},
        prompts=tuple(prompts.choose_templates(binder, "text", templates)),
        details=_make_details(recordings, dataset.classes, candidates)
        | {"window_options": options.to_dict() | {"smooth": smooth, "smoothing": smoothing}},
    )
    if page:
        from anybind_classification.evaluation_page import save_page

        save_page(Path(page), result, recordings, options)
    return result


def _make_details(
    recordings: Sequence[LabelledRecording], class_names: Sequence[str], candidates: Sequence[str]
) -> dict[str, object]:
    return {
        "recordings": len(recordings),
        "classes": list(candidates),
        "rows": list(class_names),
        "confusion": count_confusion(recordings, class_names, candidates).tolist(),
        "per_class": _compute_per_class(recordings),
        "windows": [record for recording in recordings for record in _make_records(recording)],
    }


def _count_hits(recordings: Sequence[LabelledRecording]) -> np.ndarray:
    """Return the numbers of windows, answers, hits and top-3 hits, and the hit of the summary, by recording, (n, 5)."""
    counts = np.zeros((len(recordings), 5))
    for row, recording in zip(counts, recordings, strict=True):
        label, answers = recording.item.label, [window.answer for window in recording.answers.windows]
        row[0] = len(answers)
        row[1] = sum(bool(answer.scores) for answer in answers)
        row[2] = sum(answer.label == label for answer in answers)
        row[3] = sum(any(score.label == label for score in answer.scores[:TOP_K]) for answer in answers)
        row[4] = recording.answers.summary.label == label
    return counts


def _compute_metrics(
    counts: np.ndarray, weights: np.ndarray, recordings: Sequence[LabelledRecording]
) -> dict[str, float]:
    """Compute the metrics of recordings with weights, such as how often each is drawn."""
    n, answered, hits, near, summaries = weights @ counts
    by_class: dict[str, np.ndarray] = {}
    for weight, row, recording in zip(weights, counts, recordings, strict=True):
        if weight:
            by_class[recording.item.label] = by_class.get(recording.item.label, np.zeros(5)) + weight * row
    return {
        "top1": hits / n,
        "top3": near / n,
        "mean_per_class": float(np.mean([total[2] / total[0] for total in by_class.values()])),
        "top1_answered": hits / max(1, answered),
        "answered": answered / n,
        "recording_top1": summaries / weights.sum(),
    }


def _bootstrap(
    counts: np.ndarray, recordings: Sequence[LabelledRecording], seed: int
) -> dict[str, tuple[float, float]]:
    """Compute 95 % intervals over resamples of the recordings; none for a single one."""
    if len(recordings) < 2:
        return {}
    estimates = [
        _compute_metrics(counts, weights, recordings) for weights in intervals.draw_resamples(len(recordings), seed)
    ]
    return {
        name: intervals.compute_percentile_interval([estimate[name] for estimate in estimates]) for name in estimates[0]
    }


def count_confusion(recordings: Sequence[LabelledRecording], rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """Count windows by class (row) and answer (column), (rows, columns + 1) int; the last column: abstentions."""
    counts = np.zeros((len(rows), len(columns) + 1), dtype=int)
    row_of, column_of = ({name: number for number, name in enumerate(names)} for names in (rows, columns))
    for recording in recordings:
        for window in recording.answers.windows:
            counts[row_of[recording.item.label], column_of.get(window.answer.label, len(columns))] += 1
    return counts


def _compute_per_class(recordings: Sequence[LabelledRecording]) -> dict[str, float]:
    """Return the top-1 accuracy of the windows of each class."""
    totals: dict[str, list[bool]] = {}
    for recording in recordings:
        label = recording.item.label
        totals.setdefault(label, []).extend(window.answer.label == label for window in recording.answers.windows)
    return {label: float(np.mean(hits)) for label, hits in totals.items()}


def _make_records(recording: LabelledRecording) -> list[Mapping[str, object]]:
    return [
        {
            "recording": recording.item.id,
            "start_us": window.start_us,
            "end_us": window.end_us,
            "label": recording.item.label,
            "answer": window.answer.label or None,
            "inactivity": window.answer.inactivity,
            "probability": window.probability,
        }
        for window in recording.answers.windows
    ]
