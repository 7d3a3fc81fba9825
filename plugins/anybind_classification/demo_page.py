"""The demo's page: one HTML file that holds its pictures, answers and similarity matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anybind import Binder, read
from anybind.plugin import modalities, pages
from anybind_classification.demo_questions import Answers, Scene, Similarities

SHOWN_WORDS = 4


def write_page(path: Path, binder: Binder, scenes: Sequence[Scene], answers: Answers, seed: int) -> None:
    """Write the page, whole or not at all."""
    held = [("recordings and words", answers.event_to_words), ("recordings and pictures", answers.event_to_pictures)]
    pages.save_page(
        path,
        "anybind_classification",
        "demo_page.html",
        binding=binder.name,
        space=binder.space("event"),
        identities={of: binder.identity(of) for of in ("event", "image", "text")},
        seed=seed,
        summary=answers.summary(),
        cards=[_card(row, scene, answers) for row, scene in enumerate(scenes)],
        full=max(1e-9, float(answers.event_to_words.values.max())),
        matrices=[
            {"title": title, "columns": matrix.columns, "rows": _cells(answers, matrix)}
            for title, matrix in held
            if matrix is not None
        ],
    )


def _card(row: int, scene: Scene, answers: Answers) -> dict[str, object]:
    words = answers.event_to_words.ranked(row)[:SHOWN_WORDS]
    stream = read(scene.recording)
    found = answers.event_to_pictures.best(row) if answers.event_to_pictures else None
    return {
        "name": answers.names[row],
        "picture": None if scene.picture is None else pages.image_uri(read(scene.picture)),
        "events": pages.image_uri(np.asarray(modalities.find_modality("event").show(stream))),
        "about": f"{len(stream):,} events in {stream.duration_us / 1000:.0f} ms",
        "words": [(word, value, word == scene.caption) for word, value in words],
        "found": found,
        "found_right": found == answers.names[row],
    }


def _cells(answers: Answers, matrix: Similarities) -> list[tuple[str, list[dict[str, object]]]]:
    """Rows of cells; colour runs from the smallest to the largest similarity of the matrix."""
    low, high = float(matrix.values.min()), float(matrix.values.max())
    rows = []
    for row, name in enumerate(answers.names):
        best = int(np.argmax(matrix.values[row]))
        cells = [
            {
                "value": round(float(value), 2) + 0.0,  # no minus before a zero
                "share": round((float(value) - low) / max(high - low, 1e-9), 3),
                "best": column == best,
                "right": matrix.columns[column] in (name, answers.captions[row]),
            }
            for column, value in enumerate(matrix.values[row])
        ]
        rows.append((name, cells))
    return rows
