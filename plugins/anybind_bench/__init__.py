"""Bundled plugin: benchmark suites - the paper's tables among them - and the command that runs and reports them.

It declares the kind `suite`: a plugin that brings suites imports `SuiteSpec` from `anybind_bench.suite`.
"""

from __future__ import annotations

from anybind.plugin import CommandSpec, KindSpec, Registrar, hookimpl
from anybind_bench.suite import SuiteSpec

anybind_contract = 1

SUITES = (
    ("mini", "everything that runs with nothing downloaded and no data given"),
    ("paper-table1", "Table 1 of the paper: objects, fine-tuned"),
    ("paper-table2", "Table 2 of the paper: objects, from 0, 1, 2 and 5 shots"),
    ("paper-table3", "Table 3 of the paper: anomalies in films, from words alone"),
    ("paper-table4", "Table 4 of the paper: events to pictures, words, sounds and depth, and back"),
    ("paper-fig4", "Fig. 4 of the paper: unseen objects by epoch, with each loss left out"),
    ("imagebind-zero-shot", "what ImageBind reported of sounds and depth maps"),
    ("languagebind-zero-shot", "what LanguageBind reported of sounds, depth maps and thermal pictures"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the kind `suite`, the suites and the command."""
    registry.add(
        KindSpec(
            name="suite",
            plural="suites",
            summary="lists of evaluations with published results",
            target="anybind_bench.suite:Suite",
            spec="anybind_bench.suite:SuiteSpec",
        )
    )
    for name, summary in SUITES:
        registry.add(SuiteSpec(name=name, summary=summary, target=f"anybind_bench:suites/{name}.toml"))
    registry.add(
        CommandSpec(
            name="bench",
            summary="Run suites of questions, go on where a run stopped, and report the answers beside published ones.",
            target="anybind_bench.command:app",
        )
    )
