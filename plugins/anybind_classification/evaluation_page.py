"""The HTML page of an evaluation on windows: metrics, confusion matrix, windows with their answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anybind import Result
from anybind.plugin import files, pages, windows
from anybind_classification.timeline_page import draw_windows

if TYPE_CHECKING:
    from anybind_classification.window_evaluation import LabelledRecording

WINDOWS_PER_CLASS = 8
"""Windows with images of each class, drawn at random over its recordings."""
MAX_CLASSES = 40
"""Classes with images, and rows and columns of the matrix that are shown."""


def save_page(
    path: Path, result: Result, recordings: Sequence[LabelledRecording], options: windows.WindowOptions
) -> None:
    """Write the page atomically; raise `BadInput` if it is not writable.

    Args:
        path: the file.
        result: the result of `evaluate_windows`.
        recordings: its recordings.
        options: the options of the windows.
    """
    by_class: dict[str, list[LabelledRecording]] = {}
    for recording in recordings:
        by_class.setdefault(recording.item.label, []).append(recording)
    per_class = result.details["per_class"]
    groups = [
        {"label": label, "accuracy": per_class[label], "cards": _draw_cards(group, options), "n": len(group)}
        for label, group in list(by_class.items())[:MAX_CLASSES]
    ]
    metrics = [
        {
            "name": name.replace("_", " "),
            "value": value,
            "interval": result.intervals.get(name),
            "chance": result.chance.get(name),
        }
        for name, value in result.metrics.items()
    ]
    settings = {"binding": result.binding, "modality": result.modality, "seed": result.seed}
    settings |= {name.replace("_", " "): value for name, value in result.details["window_options"].items()}
    settings |= {f"{name} encoder": identity for name, identity in result.encoders.items()}
    settings |= {"prompts": ", ".join(result.prompts)}
    pages.save_page(
        path,
        "anybind_classification",
        "evaluation_page.html",
        result=result,
        metrics=metrics,
        matrix=_make_matrix(result),
        groups=groups,
        settings=settings,
    )


def _make_matrix(result: Result) -> dict[str, object]:
    """Return the columns and rows of the confusion matrix, with the share of each cell in its row."""
    columns = [*result.details["classes"], "no answer"]
    rows = []
    for label, counts in zip(result.details["rows"], result.details["confusion"], strict=True):
        total = max(1, sum(counts))
        cells = [
            {"count": count, "share": round(count / total, 3), "hit": name == label}
            for name, count in zip(columns, counts, strict=True)
        ]
        rows.append({"label": label, "cells": cells, "total": sum(counts)})
    return {"columns": columns, "rows": rows}


def _draw_cards(group: Sequence[LabelledRecording], options: windows.WindowOptions) -> list[dict[str, object]]:
    """Return some windows of the recordings of a class, in order, with images where there are files."""
    numbers = [(row, number) for row, each in enumerate(group) for number in range(len(each.answers.windows))]
    chosen = sorted(random.Random(0).sample(numbers, min(WINDOWS_PER_CLASS, len(numbers))))
    cards = []
    for row in dict.fromkeys(row for row, _ in chosen):
        recording = group[row]
        own = [number for other, number in chosen if other == row]
        source = recording.item.source
        images = draw_windows(source, recording.answers.summary.modality, options, own)
        for number in own:
            window = recording.answers.windows[number]
            cards.append(
                {
                    "image": images.get(number, ""),
                    "answer": window.name,
                    "is_right": window.answer.label == recording.item.label,
                    "abstains": not window.answer.label,
                    "probability": window.probability,
                    "recording": files.portable_name(Path(recording.item.id).name),
                    "time": windows.format_range(window.start_us, window.end_us),
                }
            )
    return cards
