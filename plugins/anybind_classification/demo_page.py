"""The HTML page of the demo: one file with its images, predictions and similarity matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anybind import Binder, read
from anybind.plugin import modalities, pages
from anybind_classification.demo_evaluation import DemoResult, DemoSample, SimilarityMatrix

TOP_K = 4
"""Labels of a card."""


def write_page(path: Path, binder: Binder, samples: Sequence[DemoSample], result: DemoResult, seed: int) -> None:
    """Write the page; on failure, no partial file is left."""
    matrices = {"recordings and labels": result.event_to_text, "recordings and images": result.event_to_image}
    pages.save_page(
        path,
        "anybind_classification",
        "demo_page.html",
        binding=binder.name,
        space=binder.space("event"),
        identities={modality: binder.identity(modality) for modality in ("event", "image", "text")},
        seed=seed,
        metrics=result.compute_metrics(),
        cards=[_build_card(row, sample, result) for row, sample in enumerate(samples)],
        bar_maximum=max(1e-9, float(result.event_to_text.values.max())),
        matrices=[
            {"title": title, "columns": matrix.columns, "rows": _build_rows(result, matrix)}
            for title, matrix in matrices.items()
            if matrix is not None
        ],
    )


def _build_card(row: int, sample: DemoSample, result: DemoResult) -> dict[str, object]:
    stream = read(sample.recording)
    ranking = result.event_to_text.rank(row)
    ranks = [label for label, _ in ranking]
    return {
        "name": result.names[row],
        "image": None if sample.image is None else pages.image_uri(read(sample.image)),
        "events": pages.image_uri(np.asarray(modalities.find_modality("event").show(stream))),
        "about": f"{len(stream):,} events in {stream.duration_us / 1000:.0f} ms",
        "labels": ranking[:TOP_K],
        "is_label_correct": result.judge_label(row),
        "caption": sample.caption,
        "caption_rank": ranks.index(sample.caption) + 1 if sample.caption in ranks else None,
        "nearest_image": result.event_to_image.find_best(row) if result.event_to_image else None,
        "is_image_correct": result.judge_image(row),
    }


def _build_rows(result: DemoResult, matrix: SimilarityMatrix) -> list[tuple[str, list[dict[str, object]]]]:
    """Return rows of cells; the colour scale runs from the smallest to the largest similarity of the matrix."""
    low, high = float(matrix.values.min()), float(matrix.values.max())
    rows = []
    for row, name in enumerate(result.names):
        best = int(np.argmax(matrix.values[row]))
        cells = [
            {
                "value": round(float(value), 2) + 0.0,  # no minus before a zero
                "level": round((float(value) - low) / max(high - low, 1e-9), 3),
                "is_best": column == best,
                "is_true": matrix.columns[column] in (name, result.captions[row]),
            }
            for column, value in enumerate(matrix.values[row])
        ]
        rows.append((name, cells))
    return rows
