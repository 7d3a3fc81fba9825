"""The bundled plugins pass the conformance checks on their examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybind.registry import Part, find_part, list_parts, registry
from anybind.testing import Example, check_part, checks_for

RECORDINGS = {
    "aedat2": "dvs128_walking.aedat",
    "aedat4": "davis240.aedat4",
    "es": "dvs.es",
    "evt2": "evt2_small.raw",
    "evt3": "evt3_small.raw",
}
"""Real recordings; a truncated recording is valid."""
CANNOT = (
    "downloaded from a hub",
    "decodes videos for a minute",
    "the checks have none",
    "has no option `argument`",
    "[mini-mpnet]'",
    "the folder of a sentence-transformers model",
    "an encoder of a base",
)
"""Ends of the reasons why some parts are not checked."""
KINDS = [*registry().kinds(), "kind"]
BUNDLED = [part for kind in KINDS for part in list_parts(kind) if part.distribution == "anybind"]


LONG = ("speech-text",)
"""Parts whose checks take long, and that have tests of their own."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [pytest.param(part, marks=[pytest.mark.long] if part.name in LONG else []) for part in BUNDLED],
    ids=lambda part: f"{part.kind}-{part.name}",
)
def test_a_bundled_part_passes_on_its_plugins_example(part):
    report = check_part(part).raise_for_failures()
    (creation,) = [outcome for outcome in report.outcomes if outcome.check == "check_example"]
    assert creation.status == "passed" or creation.message.endswith(CANNOT)


def test_every_kind_has_checks_and_most_parts_have_an_example():
    weights = [part for part in BUNDLED if part.kind == "encoder" and part.plugin.endswith(("bind", "openclip"))]
    assert len(weights) == 12
    assert all(checks_for(kind) for kind in KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_readers_pass_on_real_recordings(test_data: Path, name: str):
    path = test_data / "events" / RECORDINGS[name]

    def offer(part: Part, folder: Path) -> Example:
        beginning = folder / f"recording{path.suffix}"
        with path.open("rb") as file:
            beginning.write_bytes(file.read(30_000))
        return Example(files=[beginning])

    check_part(find_part("reader", name), offer).raise_for_failures()
