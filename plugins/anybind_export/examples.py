"""Examples for the conformance checks of this plugin's parts."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example

REASON = "its modalities are those of a folder of `anybind export`, of which the checks have none"


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the reason why encoders and bindings are not checked; None for other kinds."""
    return Example(cannot=REASON) if kind in ("encoder", "binding") else None
