"""The bundled plugins keep the contract that strangers' are held to, on the examples that they offer themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import anybind
from anybind.registry import Part, find_part, parts
from anybind.testing import Example, examine_part
from anybind.testing.checks import SUITES

RECORDINGS = {
    "aedat2": "dvs128_walking.aedat",
    "aedat4": "davis240.aedat4",
    "es": "dvs.es",
    "evt2": "evt2_small.raw",
    "evt3": "evt3_small.raw",
}
"""Of formats that we do not write; the beginning of a recording is one."""
NOT_TRIED = ("downloaded from a hub", "it plays films for a minute", "and none is made up")
BUNDLED = [part for kind in anybind.KINDS for part in parts(kind) if part.distribution == "anybind"]


@pytest.mark.parametrize("part", BUNDLED, ids=lambda part: f"{part.kind}-{part.name}")
def test_a_bundled_part_keeps_every_rule_on_what_its_plugin_offers(part):
    report = examine_part(part).require()
    (untried,) = [outcome.seen for outcome in report.outcomes if outcome.rule == "tried"] or [""]
    if part.kind not in SUITES:
        assert untried == f"there are no rules for a {part.kind} at work"
    else:
        assert not untried or untried.endswith(NOT_TRIED)


def test_most_parts_are_tried_and_every_kind_that_has_rules_is():
    weights = [part for part in BUNDLED if part.kind == "encoder" and part.plugin.endswith(("bind", "openclip"))]
    assert len(weights) == 12  # all others of these kinds are tried, but for one task and one format
    assert {part.kind for part in BUNDLED if part.kind in SUITES} == set(SUITES) - {"spec"}


@pytest.mark.parametrize("name", RECORDINGS)
def test_readers_keep_every_rule_on_real_recordings(shared: Path, name: str):
    path = shared / "data" / "events" / RECORDINGS[name]

    def offer(part: Part, folder: Path) -> Example:
        beginning = folder / f"recording{path.suffix}"
        with path.open("rb") as file:
            beginning.write_bytes(file.read(30_000))
        return Example(files=[beginning])

    examine_part(find_part("reader", name), offer).require()
