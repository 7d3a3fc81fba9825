"""The HTML page of recordings over time: event rate, labels as rows, images of windows. One file without scripts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind import AnybindError, read
from anybind.plugin import files, modalities, pages, readers, windows
from anybind_classification.recordings import RecordingClassification, WindowClassification

MAX_ROWS = 8
"""Labels shown as rows: those with the highest mean probability, and the answers of the most windows."""
MAX_CELLS = 400
"""Cells of a row; of more windows, consecutive ones are averaged."""
STRIP_IMAGES = 8
"""Images of windows along the time."""
SHORT_US = 10_000_000
"""Shortest recording whose times are given in tenths of a second, microseconds."""


def save_page(
    path: Path,
    recordings: Sequence[RecordingClassification],
    options: windows.WindowOptions,
    settings: Mapping[str, object],
) -> None:
    """Write the page atomically; raise `BadInput` if it is not writable.

    Args:
        path: the file.
        recordings: the answers.
        options: the options of the windows, to draw some of them.
        settings: settings by name, for the list at the end.
    """
    pages.save_page(
        path,
        "anybind_classification",
        "timeline_page.html",
        recordings=[_make_section(recording, options) for recording in recordings],
        settings={name.replace("_", " "): _format_setting(value) for name, value in settings.items()},
    )


def _format_setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "default"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _format_time(time_us: int, duration_us: int) -> str:
    """Format a time of a recording, to the millisecond in short ones: their windows differ by less than a tenth."""
    return pages.format_time(time_us / 1e6, 3 if duration_us < SHORT_US else 1)


def _make_section(recording: RecordingClassification, options: windows.WindowOptions) -> dict[str, object]:
    """Return the fields of one recording."""
    spans, summary = recording.windows, recording.summary
    begin, end = spans[0].start_us, max(1 + spans[0].start_us, *(window.end_us for window in spans))
    chart = ""
    label = modalities.find_modality(summary.modality).intensity
    if not recording.is_whole and label:
        starts = np.array([window.start_us - begin for window in spans]) / 1e6
        levels = np.array([window.intensity for window in spans])
        chart = pages.draw_steps(starts, (end - begin) / 1e6, levels, label=label, colour=5, height=64)
    return {
        "name": files.portable_name(Path(recording.id).name),
        "label": summary.label or summary.inactivity,
        "probability": summary.scores[0].probability if summary.scores else None,
        "shares": recording.shares,
        "windows": len(spans),
        "duration": _format_time(end - begin, end - begin),
        "start": _format_time(begin, end - begin) if begin else "",
        "is_whole": recording.is_whole,
        "chart": chart,
        "rows": [] if recording.is_whole else _make_rows(recording, begin, end),
        "strip": [] if recording.is_whole else _draw_strip(recording, options),
        "scores": summary.scores[:MAX_ROWS],
    }


def _make_rows(recording: RecordingClassification, begin: int, end: int) -> list[dict[str, object]]:
    """Return rows of cells, positions in per cent of the time: one row a label, and one for windows without label."""
    spans = recording.windows
    labels = [score.label for score in recording.summary.scores]
    totals = dict.fromkeys(labels, 0.0)
    probabilities = np.zeros((len(spans), len(labels)))
    for number, window in enumerate(spans):
        for score in window.answer.scores:
            probabilities[number, labels.index(score.label)] = score.probability
        if window.answer.label:
            totals[window.answer.label] += 1 / len(spans)
    means = probabilities.mean(axis=0) if len(spans) else np.zeros(len(labels))
    ranked = sorted(range(len(labels)), key=lambda each: -(totals[labels[each]] + means[each]))[:MAX_ROWS]
    step = -(-len(spans) // MAX_CELLS)
    groups = [spans[first : first + step] for first in range(0, len(spans), step)]
    stops = [*(group[0].start_us for group in groups[1:]), end]  # windows may overlap, cells must not
    cells_of_groups = [_make_cell(group, stop, begin, end) for group, stop in zip(groups, stops, strict=True)]
    rows: list[dict[str, object]] = []
    for column in ranked:
        cells = [
            cells_of_groups[number]
            | {
                "value": round(float(probabilities[number * step : number * step + step, column].mean()), 3),
                "best": any(window.answer.label == labels[column] for window in group),
            }
            for number, group in enumerate(groups)
            if any(window.answer.scores for window in group)
        ]
        rows.append({"label": labels[column], "inactive": False, "fraction": totals[labels[column]], "cells": cells})
    still = [number for number, group in enumerate(groups) if all(not window.answer.label for window in group)]
    if still:
        cells = [cells_of_groups[number] | {"value": 1.0, "best": False} for number in still]
        names = dict.fromkeys(window.name for number in still for window in groups[number])
        rows.append({"label": " or ".join(names), "inactive": True, "cells": cells})
    return rows


def _make_cell(group: Sequence[WindowClassification], stop: int, begin: int, end: int) -> dict[str, object]:
    """Return a cell from the start of the first to the end of the last window of a group, at most to `stop`."""
    start, last = group[0].start_us, group[-1].end_us
    return {
        "left": round(100 * (start - begin) / (end - begin), 3),
        "width": round(100 * (min(last, stop) - start) / (end - begin), 3),
        "time": windows.format_range(start, last),
    }


def _draw_strip(recording: RecordingClassification, options: windows.WindowOptions) -> list[dict[str, object]]:
    """Return images of windows spread evenly over those with a label; empty if the file cannot be divided again."""
    labelled = [number for number, window in enumerate(recording.windows) if window.answer.label]
    chosen = [
        labelled[k] for k in np.linspace(0, len(labelled) - 1, min(STRIP_IMAGES, len(labelled))).round().astype(int)
    ]
    duration_us = recording.windows[-1].end_us - recording.windows[0].start_us
    images = draw_windows(recording.id, recording.summary.modality, options, chosen)
    return [
        {
            "image": images[number],
            "time": _format_time(recording.windows[number].start_us, duration_us),
            "label": recording.windows[number].name,
        }
        for number in chosen
        if number in images
    ]


def draw_windows(
    path: str | os.PathLike[str],
    modality: str,
    options: windows.WindowOptions,
    numbers: Sequence[int],
    longest: int = 240,
) -> dict[int, str]:
    """Draw windows of a recording as `data:` URIs, by number.

    Args:
        path: the file; none are drawn of a file of another modality, from which the recording was derived.
        modality: its modality.
        options: the options that its windows were made with.
        numbers: numbers of the windows, from 0.
        longest: longest side of an image, pixels.
    """
    kind, chosen, images = modalities.find_modality(modality), set(numbers), {}
    try:
        reader = readers.find_reader(path, modality)
        if not chosen or reader.spec.modality != modality:
            return {}
        for number, window in enumerate(kind.split(read(path, reader=reader.name), options)):
            if number in chosen:
                image = kind.show_window(window.sample)
                if not isinstance(image, str):
                    images[number] = pages.image_uri(image, longest)
    except AnybindError:  # removed or changed in between
        return images
    return images
