"""The page of an explanation: shaded words, and the map over frame and picture. One file, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import markupsafe

from anybind.plugin import pages
from anybind_explain.drawing import COLOURS
from anybind_explain.pairs import Relevance
from anybind_explain.panels import Panel

STRONGEST = 0.7
"""Opacity of the colour behind the most relevant word; letters can be read on it, by day and by night."""
LONGEST = 840
"""Longest side of a picture of the page, in pixels."""


def write_page(
    path: Path, title: str, text: str, found: Relevance, panels: Sequence[Panel], settings: Mapping[str, object]
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        title: what the recording or picture is called.
        text: that it was held against.
        found: what is shown of it: the words, the score.
        panels: the map over frames.
        settings: told at the end of the page, by name.

    Raises:
        BadInput: the file cannot be written.
    """
    strongest = max(each.weight for each in found.words) or 1.0
    pages.save_page(
        path,
        "anybind_explain",
        "page.html",
        title=title,
        text=text,
        score=found.score,
        words=[{**vars(each), "shade": STRONGEST * each.weight / strongest} for each in found.words],
        panels=[
            (pages.image_uri(each.drawn, LONGEST), pages.image_uri(each.plain, LONGEST), each.caption)
            for each in panels
        ],
        colours=markupsafe.Markup(", ".join(f"rgb({r:.0f}, {g:.0f}, {b:.0f})" for r, g, b in COLOURS)),
        settings=settings,
    )
