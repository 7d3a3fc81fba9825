"""The HTML page of an explanation: shaded words, and the map over frame and image. One file without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import markupsafe

from anybind.plugin import pages
from anybind_explain.drawing import COLOURS
from anybind_explain.pairs import Relevance
from anybind_explain.panels import MapPanel

MAX_OPACITY = 0.7
"""Opacity of the colour behind the most relevant word: text stays readable in the light and the dark scheme."""
MAX_SIDE = 840
"""Longest side of an image on the page, in pixels."""


def write_page(
    path: Path, title: str, text: str, relevance: Relevance, panels: Sequence[MapPanel], settings: Mapping[str, object]
) -> None:
    """Write the page; on failure, no partial file is left.

    Args:
        path: the file.
        title: name of the recording or image.
        text: the text.
        relevance: the words and the score.
        panels: the map over frames.
        settings: settings at the end of the page, by name.

    Raises:
        BadInput: the file cannot be written.
    """
    max_weight = max(each.weight for each in relevance.words) or 1.0
    pages.save_page(
        path,
        "anybind_explain",
        "page.html",
        title=title,
        text=text,
        score=relevance.score,
        map_summary=relevance.describe_map(),
        words=[{**vars(each), "opacity": MAX_OPACITY * each.weight / max_weight} for each in relevance.words],
        panels=[
            (pages.image_uri(each.map_image, MAX_SIDE), pages.image_uri(each.image, MAX_SIDE), each.caption)
            for each in panels
        ],
        colours=markupsafe.Markup(", ".join(f"rgb({r:.0f}, {g:.0f}, {b:.0f})" for r, g, b in COLOURS)),
        settings=settings,
    )
