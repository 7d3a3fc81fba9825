"""`anybind classify`: see `anybind_classification.classify_windows`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import (
    AsJson,
    Backend,
    BindingName,
    Device,
    End,
    Filters,
    ReaderOptions,
    Region,
    Seed,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Window,
    open_store,
    parse_reader_options,
    parse_windows,
    print_json,
    print_table,
    print_text,
    split_common_folder,
)
from anybind.plugin import BadOption, Head, files, prompts, tables, windows
from anybind_classification.recordings import (
    MEAN,
    RecordingClassification,
    WindowClassification,
    classify_windows,
    iterate_records,
)
from anybind_classification.timeline_page import save_page

MAX_RUNS = 20
"""Runs of windows with one answer that are printed of each recording."""

Prompts = Annotated[
    list[str] | None,
    typer.Option(
        help="Prompt template with {} for the label and, optionally, {definition} for WordNet's definitions of it;"
        ' repeatable. Default: that of the text encoder, or "a photo of a {}".'
    ),
]
Smooth = Annotated[int, typer.Option(min=1, help="Windows that an answer takes into account.")]
Smoothing = Annotated[str, typer.Option(help="Smoothing over these windows: mean or exponential.")]
TimelinePage = Annotated[Path | None, typer.Option("--page", help="Write an HTML page with the labels over time.")]
AsLines = Annotated[
    bool, typer.Option("--jsonl", help="Print one JSON object a window and one a file, each on a line.")
]


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, images or audio clips, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas ("a duck,a kettle"), or a file.')] = "",
    head: Annotated[
        str, typer.Option(help="File of a fitted classification head (.safetensors), instead of --labels.")
    ] = "",
    binding: BindingName = "mini",
    modality: Annotated[
        str, typer.Option(help="Embed all files as this modality (event: simulated from images). Default: their own.")
    ] = "",
    prompt: Prompts = None,
    top_k: Annotated[int, typer.Option(min=1, help="Number of labels to print per file.")] = 3,
    seed: Seed = 0,
    device: Device = "cpu",
    backend: Backend = "auto",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
    smooth: Smooth = 1,
    smoothing: Smoothing = MEAN,
    as_lines: AsLines = False,
    page: TimelinePage = None,
    reader_option: ReaderOptions = None,
) -> None:
    """Classify recordings, images or audio clips by text labels (zero-shot), or by a fitted head.

    Long recordings are divided into windows: the answers over time, and a summary by the mean embedding.
    """
    if as_json and as_lines:
        raise BadOption("expected either --json or --jsonl")
    if bool(labels) == bool(head) or (head and prompt):
        raise BadOption("expected either --labels (and --prompt), or --head")
    label_names = tables.parse_names(labels) if labels else []
    fitted_head = Head.find(head, predicts="classification") if head else None
    options, reading = parse_windows(start, end, window, stride, roi, filters), parse_reader_options(reader_option)
    if page is not None:
        files.check_output(page, files.PAGE_SUFFIXES)
    binder, skipped = load(binding, device=device, backend=backend, store=open_store(store)), SkippedFiles()
    templates = prompts.choose_templates(binder, "text", prompt) if labels else prompts.DEFAULT_TEMPLATES
    try:
        recordings = classify_windows(
            paths, label_names, head=fitted_head, binding=binder, modality=modality, templates=templates, seed=seed,
            on_bad=skipped.record if skip_invalid else None, options=options, smooth=smooth, smoothing=smoothing,
            reader_options=reading,
        )  # fmt: skip
        score_name = "score" if fitted_head else "cosine"
        ranking = _describe_head(fitted_head) if fitted_head else {"labels": label_names, "templates": templates}
        settings = {"binding": binder.name, **ranking, "windows": options.to_dict()}
        if page is not None:
            save_page(page, recordings, options, settings | {"smooth": smooth, "smoothing": smoothing})
        if as_lines:
            for record in itertools.chain.from_iterable(iterate_records(each, score_name) for each in recordings):
                print_json(record)
        elif as_json:
            records = [_make_record(each, score_name) for each in recordings]
            print_json({**settings, "files": records, "page": page and str(page), "skipped": skipped})
        else:
            _print_classifications(recordings, score_name, top_k, page)
    finally:
        skipped.report()


def _describe_head(head: Head) -> dict[str, object]:
    return {"labels": list(head.classes), "head": {"name": head.name, "identity": head.identity}}


def _make_record(recording: RecordingClassification, score_name: str) -> dict[str, object]:
    """Return the record of the summary, with those of the windows."""
    *window_records, record = iterate_records(recording, score_name)
    return record | ({"windows": window_records} if window_records else {})


def _print_classifications(
    recordings: Sequence[RecordingClassification], score_name: str, top_k: int, page: Path | None
) -> None:
    """Print the labels of each file, and of each divided recording its answers over time."""
    folder, names = split_common_folder([recording.id for recording in recordings])
    divided = any(not recording.is_whole for recording in recordings)
    columns = ("file", "modality", "label", score_name, "probability", *(("share of time",) if divided else ()))
    pairs = list(zip(names, recordings, strict=True))
    rows = [row for name, recording in pairs for row in _format_rows(name, recording, top_k)]
    print_table(columns, rows if divided else [row[:-1] for row in rows], title=folder)
    for name, recording in pairs:
        if not recording.is_whole:
            runs = recording.list_runs()
            print_table(("time", "label", "probability"), _format_runs(runs), title=f"{name} over time")
            if len(runs) > MAX_RUNS:
                print_text(f"{len(runs) - MAX_RUNS} more; --page draws all, --jsonl prints all")
    if page is not None:
        print_text(f"page: {page}")


def _format_rows(name: str, recording: RecordingClassification, top_k: int) -> Iterator[tuple[str, ...]]:
    summary = recording.summary
    shares = {share.label: f"{100 * share.fraction:.0f} %" for share in recording.shares}
    file = (name, summary.modality)
    if not summary.scores:
        yield (*file, summary.inactivity, "", "", shares[summary.inactivity])
    for score in summary.scores[:top_k]:
        numbers = (f"{score.score:.3f}", f"{100 * score.probability:.1f} %")
        yield (*file, score.label, *numbers, shares.get(score.label, ""))
        file = ("", "")
    for share in recording.shares:
        if share.inactive and summary.scores:
            yield ("", "", share.label, "", "", shares[share.label])


def _format_runs(
    runs: Sequence[tuple[WindowClassification, WindowClassification, float]],
) -> Iterator[tuple[str, str, str]]:
    for first, last, probability in runs[:MAX_RUNS]:
        share = f"{100 * probability:.1f} %" if first.answer.label else ""
        yield windows.format_range(first.start_us, last.end_us), first.name, share
