"""Examples of the conformance checks: the encoders of MTEB's random baseline, which has no weights."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example

MODEL = "mteb/baseline-random-encoder"


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of an encoder or binding; None for other kinds."""
    if kind == "encoder":
        return Example(options={"model": MODEL})
    return Example(options={"argument": MODEL}) if kind == "binding" else None
