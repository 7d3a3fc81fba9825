"""Conformance checks of live sources; those without an example that ends are checked for their settings alone."""

from __future__ import annotations

import itertools
import json

from anybind.testing import Case, Checks
from anybind_events.live_source import LiveSource
from anybind_events.stream import EventStream

CHECKS = Checks()
CHUNKS = 20
"""Number of chunks that are looked at: a source may be endless."""


@CHECKS.add("return all options from `settings`, JSON-like")
def check_settings(case: Case[LiveSource]) -> None:
    settings = dict(case.part.settings)
    assert json.loads(json.dumps(settings)) == settings, f"JSON changes the settings {settings}"


@CHECKS.add(
    "yield chunks that are event streams of one sensor, in the order of time",
    applies=lambda case: case.part.settings.get("path") is not None,
)
def check_chunks(case: Case[LiveSource]) -> None:
    latest, sizes = None, {each for each in [case.part.prepare()] if each is not None}
    for chunk in itertools.islice(case.part.chunks(), CHUNKS):
        assert isinstance(chunk, EventStream), f"it yields a {type(chunk).__name__}"
        sizes.add((chunk.width, chunk.height))
        if len(chunk):
            assert latest is None or chunk.t[0] >= latest, "a chunk begins before the one before ends"
            latest = chunk.t[-1]
    case.part.close()
    assert len(sizes) <= 1, f"the sensor's size changes: {sorted(sizes)}"
