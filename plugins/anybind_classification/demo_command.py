"""`anybind demo`: simulate event recordings of images, classify them by text, and write an HTML page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from anybind import AnybindError, derive, load, read, write
from anybind.commandline import (
    AsJson,
    Backend,
    BindingName,
    Device,
    Seed,
    SkipInvalid,
    SkippedFiles,
    print_json,
    print_table,
    print_text,
)
from anybind.plugin import BadInput, BadOption, files, loops, modalities, prompts, readers, tables
from anybind_classification.demo_evaluation import DemoResult, DemoSample, evaluate_demo
from anybind_classification.demo_images import RECORDING, RECORDING_CAPTION, list_demo_images
from anybind_classification.demo_page import write_page


def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Images or event recordings, or folders of them. Default: ten photos and a real event recording."
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option(help='Labels separated by commas ("a cat,a duck"), or a file. Default: the file names.')
    ] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the recordings and the page.")] = Path(
        "anybind-demo"
    ),
    binding: BindingName = "mini",
    seed: Seed = 0,
    device: Device = "cpu",
    backend: Backend = "auto",
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Simulate event recordings of images, classify them by text (zero-shot), and write an HTML page."""
    start = time.monotonic()
    captions = _list_captions(paths)
    label_names = _list_labels(labels, captions)
    binder = load(binding, device=device, backend=backend)
    binder.encoder("event")  # fails before any file is written if an extra is missing
    skipped = SkippedFiles()
    samples = _record_all(captions, output / "recordings", seed, skipped if skip_invalid else None)
    result = evaluate_demo(binder, samples, label_names)
    page = output / "index.html"
    write_page(page, binder, samples, result, seed)
    if as_json:
        encoders = {modality: binder.identity(modality) for modality in ("event", "image", "text")}
        settings = {"binding": binder.name, "seed": seed, "encoders": encoders}
        print_json({"page": str(page), **settings, **result.to_dict(), "skipped": skipped})
        skipped.report()
        return
    print_table(("recording of", "best label", "nearest image", "best recording for it"), _format_rows(result))
    skipped.report()
    for metric in result.compute_metrics():
        print_text(str(metric))
    print_text(f"page: {page}  ({time.monotonic() - start:.0f} s)")


def _list_captions(paths: list[Path] | None) -> dict[Path, str]:
    if not paths:
        return {**list_demo_images(), RECORDING: RECORDING_CAPTION}
    return {
        path: prompts.format_class_name(files.portable_name(path.stem))
        for path in map(Path, readers.list_sample_files(paths, ("image", "event")))
    }


def _list_labels(labels: str, captions: dict[Path, str]) -> list[str]:
    """Return the labels. File names match labels regardless of case: captions are changed to the labels' spelling."""
    if not labels:
        names = list(dict.fromkeys(captions.values()))
        if len(names) < 2:
            raise BadOption(f"expected at least two labels, got {names}; name labels with --labels a,b,c")
        return names
    names = tables.parse_names(labels)
    prompts.check_labels(names)
    by_folded_name = {name.casefold(): name for name in names}
    for path, caption in captions.items():
        captions[path] = by_folded_name.get(caption.casefold(), caption)
    return names


def _record_all(captions: dict[Path, str], folder: Path, seed: int, skipped: SkippedFiles | None) -> list[DemoSample]:
    """Simulate and write a recording of each image; event recordings are used as they are.

    Raises:
        AnybindError: a file cannot be read or is empty (unless `skipped` collects such files), no file is left,
            or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot create the folder {folder}: {error.strerror}; choose another with --output") from error
    samples: list[DemoSample] = []
    with loops.progress_bar(len(captions), "recording") as advance:
        for number, (path, caption) in enumerate(captions.items()):
            try:
                samples.append(_record_one(path, caption, folder / f"{number:02d}-{path.stem}.npz", seed))
            except AnybindError as error:
                if skipped is None:
                    raise
                skipped.record(files.portable_name(path), error)
            advance(1)
    if not samples:
        raise BadInput("no file could be used")
    return samples


def _record_one(path: Path, caption: str, recording: Path, seed: int) -> DemoSample:
    sample = read(path)
    source = modalities.infer_modality(sample)
    try:
        modalities.find_modality(source).check(sample)
        events = derive("event", sample, source=source, seed=seed)
        modalities.find_modality("event").check(events)
    except BadInput as error:
        raise BadInput(f"{files.portable_name(path)}: {error}") from error
    if source == "event":
        return DemoSample(caption, recording=path, image=None)
    write(events, recording)
    return DemoSample(caption, recording=recording, image=path)


def _format_rows(result: DemoResult) -> list[tuple[str, ...]]:
    rows = []
    for row, (name, caption) in enumerate(zip(result.names, result.captions, strict=True)):
        image = result.event_to_image.find_best(row) if result.event_to_image else "-"
        recording = result.text_to_event.get(caption)
        is_retrieved = None if recording is None else result.captions[result.names.index(recording)] == caption
        rows.append(
            (
                name,
                _mark(result.event_to_text.find_best(row), result.judge_label(row)),
                _mark(image, result.judge_image(row)),
                _mark(recording or "-", is_retrieved),
            )
        )
    return rows


def _mark(prediction: str, is_correct: bool | None) -> str:
    """Put a tick or a cross before a prediction; nothing if its ground truth is unknown."""
    return prediction if is_correct is None else f"{'✓' if is_correct else '✗'} {prediction}"
