"""Results of benchmark suites as MTEB's files, which `mteb.ResultCache.load_results` reads."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import mteb
from mteb.results import TaskResult

from anybind.plugin import BadInput, files, tables
from anybind_bench.cell import Cell, State
from anybind_bench.encoders import merge_encoders
from anybind_bench.mteb.metadata import BindingMeta, format_model_name, get_column
from anybind_bench.results import SuiteResults, read_results

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false


def write_mteb_results(
    results: SuiteResults | str | os.PathLike[str] | Sequence[SuiteResults | str | os.PathLike[str]],
    output: str | os.PathLike[str],
) -> list[Path]:
    """Write results as the folder of an MTEB result cache: `mteb.ResultCache(output).load_results()` reads it.

    One file is an evaluation of a binding: `results/anybind__BINDING/REVISION/SUITE-EVALUATION.json`. The revision is a
    hash of the encoders' identities, and each seed a subset. Cells without a value of their main metric are left out.

    Args:
        results: results of `run_suite`, or results folders.
        output: the folder; files of other models, revisions and tasks stay.

    Returns:
        the written files, without those that describe models.

    Raises:
        BadInput: no folder has results with a value, two evaluations have one name, or a file cannot be written.
    """
    sources = [results] if isinstance(results, SuiteResults | str | os.PathLike) else results
    runs = [each if isinstance(each, SuiteResults) else read_results(each) for each in sources]
    cells = [(run.suite.name, cell) for run in runs for cell in run.cells if _has_value(cell)]
    if not cells:
        raise BadInput(f"{', '.join(str(run.folder) for run in runs)}: no finished evaluations to write")
    contents: dict[Path, TaskResult | BindingMeta] = {}  # all of them, before the first is written
    for binding in dict.fromkeys(cell.binding for _, cell in cells):
        own = [(suite, cell) for suite, cell in cells if cell.binding == binding]
        meta = _describe_cells(binding, [cell for _, cell in own])
        tasks = {name: _make_task_result(name, members) for name, members in _group_by_task(own).items()}
        folder = Path(output) / "results" / meta.model_name_as_path() / str(meta.revision)
        contents |= {folder / f"{name}.json": result for name, result in tasks.items()}
        contents[folder / "model_meta.json"] = meta
    for path, content in contents.items():
        _write_content(path, content)
    return [path for path, content in contents.items() if isinstance(content, TaskResult)]


def _write_content(path: Path, content: TaskResult | BindingMeta) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write to {path.parent}: {error.strerror or error}") from error
    with files.atomic_path(path) as temporary:
        if isinstance(content, TaskResult):
            content.to_disk(temporary)
        else:
            temporary.write_text(json.dumps(content.to_dict(), indent=4, default=str), encoding="utf-8")


def _has_value(cell: Cell) -> bool:
    return cell.state is State.DONE and cell.main_value is not None


def _group_by_task(cells: Iterable[tuple[str, Cell]]) -> dict[str, list[Cell]]:
    """Group cells by the task's name in MTEB; raise `BadInput` for two evaluations with one name."""
    groups: dict[str, list[Cell]] = {}
    titles: dict[str, tuple[str, str]] = {}
    for suite, cell in cells:
        name = re.sub(r"[^\w.-]+", "-", f"{suite}-{cell.title}").strip("-.")[:120]
        if titles.setdefault(name, (suite, cell.title)) != (suite, cell.title):
            raise BadInput(f"evaluations {titles[name][1]!r} and {cell.title!r} have one name in MTEB: {name}")
        if any(each.seed == cell.seed for each in groups.setdefault(name, [])):
            raise BadInput(f"{cell}: two results; give folders without a second result of it")
        groups[name].append(cell)
    return groups


def _make_task_result(name: str, cells: Sequence[Cell]) -> TaskResult:
    scores = []
    for cell in cells:
        assert cell.result is not None
        metrics = {metric: float(value) for metric, value in cell.result.metrics.items() if math.isfinite(value)}
        subset = "default" if len(cells) == 1 else f"seed-{cell.seed}"
        scores.append({**metrics, "main_score": cell.main_value, "hf_subset": subset, "languages": ["eng-Latn"]})
    split_hash = cells[0].result.split_hash if cells[0].result else ""
    return TaskResult(
        dataset_revision=split_hash,
        task_name=name,
        mteb_version=mteb.__version__,
        scores={"test": scores},
        evaluation_time=None,
    )


def _describe_cells(binding: str, cells: Iterable[Cell]) -> BindingMeta:
    """Describe a binding by its results alone; raise `BadInput` for two encoders of a modality."""
    try:
        encoders = merge_encoders(cell.result for cell in cells if cell.result)
    except ValueError as error:
        raise BadInput(f"binding {binding!r}: {error}; write their folders separately") from error
    return BindingMeta(
        loader=None,
        name=format_model_name(binding),
        revision=tables.hash_settings(encoders),
        release_date=None,
        languages=None,
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=None,
        embed_dim=None,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=[],
        similarity_fn_name=None,
        use_instructions=None,
        training_datasets=None,
        modalities=[get_column(modality) for modality in encoders],
    )
