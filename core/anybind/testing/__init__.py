"""The conformance kit: what a plugin's author runs to know that its parts keep their side of the contract.

    from anybind.testing import check_encoder

    def test_the_tower_conforms():
        check_encoder(ThermalTower(), samples)

or, for all parts of an installed plugin, on the examples that it offers:

    @pytest.mark.parametrize("part", parts_of("thermal"), ids=lambda part: part.name)
    def test_part_conforms(part):
        check_part(part)

A failure names each rule that is broken, what was seen, and how to mend it. pytest loads the fixtures by itself; this
package does not need pytest.
"""

from __future__ import annotations

from anybind.testing.checks import (
    check_adapter,
    check_dataset,
    check_encoder,
    check_head,
    check_modality,
    check_reader,
    check_representation,
    check_spec,
    check_task,
    rule_names,
)
from anybind.testing.examples import Example
from anybind.testing.plugin_parts import check_part, examine_part, parts_of
from anybind.testing.rules import NotConforming, Outcome, Report
from anybind.testing.stand_in import stand_in_binder

__all__ = [
    "Example",
    "NotConforming",
    "Outcome",
    "Report",
    "check_adapter",
    "check_dataset",
    "check_encoder",
    "check_head",
    "check_modality",
    "check_part",
    "check_reader",
    "check_representation",
    "check_spec",
    "check_task",
    "examine_part",
    "parts_of",
    "rule_names",
    "stand_in_binder",
]
