"""Bundled plugin: benchmark suites, including the paper's tables; runs and reports.

    import anybind_bench

    results = anybind_bench.run_suite("mini", output="results")
    anybind_bench.write_report(results, "report.html")

It declares the kind `suite`: plugins with suites import `SuiteSpec` from `anybind_bench.suite`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import BindingSpec, CommandSpec, EncoderSpec, Registrar, hookimpl, kinds
from anybind_bench.suite import SuiteSpec

if TYPE_CHECKING:
    from anybind_bench.cell import Cell, State
    from anybind_bench.report import write_leaderboard, write_report
    from anybind_bench.results import SuiteResults, read_results
    from anybind_bench.run import run_suite
    from anybind_bench.submissions import check_submissions, write_submissions
    from anybind_bench.suite import Evaluation, Suite, find_suite

__all__ = [
    "Cell",
    "Evaluation",
    "State",
    "Suite",
    "SuiteResults",
    "check_submissions",
    "find_suite",
    "read_results",
    "run_suite",
    "write_leaderboard",
    "write_report",
    "write_submissions",
]

anybind_contract = 1

_MODULES = {
    "anybind_bench.cell": ("Cell", "State"),
    "anybind_bench.report": ("write_leaderboard", "write_report"),
    "anybind_bench.results": ("SuiteResults", "read_results"),
    "anybind_bench.run": ("run_suite",),
    "anybind_bench.submissions": ("check_submissions", "write_submissions"),
    "anybind_bench.suite": ("Evaluation", "Suite", "find_suite"),
}
"""Public names by module, imported lazily so that listing plugins stays light."""

SUITES = (
    ("mini", "evaluations without downloads or own data"),
    ("robustness", "event encoders on corrupted recordings, with and without filters"),
    ("paper-table1", "Table 1 of the paper: object classification, fine-tuned"),
    ("paper-table2", "Table 2 of the paper: object classification, 0, 1, 2 and 5 shots"),
    ("paper-table3", "Table 3 of the paper: zero-shot video anomaly detection"),
    ("paper-table4", "Table 4 of the paper: retrieval between events and images, text, audio and depth"),
    ("paper-fig4", "Fig. 4 of the paper: accuracy on unseen classes by epoch, ablation of each loss"),
    ("imagebind-zero-shot", "ImageBind's zero-shot results on audio and depth"),
    ("languagebind-zero-shot", "LanguageBind's zero-shot results on audio, depth and thermal images"),
)

MTEB_MODALITIES = ("text", "image", "sound", "video")


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'anybind_bench' has no attribute {name!r}")


@hookimpl
def register(registry: Registrar) -> None:
    """Add the kind `suite`, the suites and the command."""
    registry.add(
        kinds.KindSpec(
            name="suite",
            plural="suites",
            summary="lists of evaluations with published results",
            target="anybind_bench.suite:Suite",
            spec="anybind_bench.suite:SuiteSpec",
            checks="anybind_bench.conformance:CHECKS",
        )
    )
    for name, summary in SUITES:
        registry.add(SuiteSpec(name=name, summary=summary, target=f"anybind_bench:suites/{name}.toml"))
    for modality in MTEB_MODALITIES:
        registry.add(
            EncoderSpec(
                name=f"mteb-{modality}",
                summary=f"{modality} encoder of a model of MTEB's registry, or of a sentence-transformers folder",
                target=f"anybind_bench.mteb.models:load_{modality}_encoder",
                modality=modality,
                weights_licence="as published with the model",
                extra="mteb",
            )
        )
    registry.add(
        BindingSpec(
            name="mteb",
            summary="any dense model of MTEB's registry that runs no code of its repository",
            target="anybind_bench.mteb.models:mteb_binding",
            modalities=MTEB_MODALITIES,
            forms=("mteb:ORG/MODEL", "mteb:DIR"),
            extra="mteb",
        )
    )
    registry.add(
        CommandSpec(
            name="bench",
            summary="Run benchmark suites, resume interrupted runs and report results beside published values.",
            target="anybind_bench.command:app",
        )
    )
