"""Bundled plugin: suites of questions - the paper's tables among them - and the command that runs and reports them."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_commands(register: Register) -> None:
    """What a user types."""
    register(
        Spec(
            name="bench",
            summary="Run suites of questions, go on where a run stopped, and report the answers beside published ones.",
            target="anybind_bench.command:app",
        )
    )


@hookimpl
def register_datasets(register: Register) -> None:
    """Data sets that suites need and no one publishes."""
    register(
        Spec(
            name="paired-by-class",
            summary="two data sets whose classes mean the same, side by side",
            target="anybind_bench.paired_by_class:PairedByClass",
        )
    )


@hookimpl
def register_suites(register: Register) -> None:
    """Files in `suites`, by their names."""
    for name, summary in (
        ("mini", "everything that runs with nothing downloaded and no data given"),
        ("paper-table1", "Table 1 of the paper: objects, fine-tuned"),
        ("paper-table2", "Table 2 of the paper: objects, from 0, 1, 2 and 5 shots"),
        ("paper-table3", "Table 3 of the paper: anomalies in films, from words alone"),
        ("paper-table4", "Table 4 of the paper: events to pictures, words, sounds and depth, and back"),
        ("paper-fig4", "Fig. 4 of the paper: unseen objects by epoch, with each loss left out"),
        ("imagebind-zero-shot", "what ImageBind reported of sounds and depth maps"),
        ("languagebind-zero-shot", "what LanguageBind reported of sounds, depth maps and thermal pictures"),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_bench:suites/{name}.toml"))
