"""`anybind demo`: the main job from end to end - pictures to event recordings to words, and a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from anybind import AnybindError, Binder, derive, load, read, write
from anybind.commandline import AsJson, BindingName, Device, Seed, SkipInvalid, SkippedFiles, print_json, print_table
from anybind.plugin import BadInput, BadOption, files, modalities, progress_bar, prompts, readers, tables
from anybind_classification.demo_page import write_page
from anybind_classification.demo_pictures import demo_pictures
from anybind_classification.demo_questions import Answers, Scene, ask


def demo(
    paths: Annotated[list[Path] | None, typer.Argument(help="Your own pictures or recordings.")] = None,
    labels: Annotated[str, typer.Option(help="Words to ask for: a,b,c or a file; by default the file names.")] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for recordings and page.")] = Path(
        "anybind-demo"
    ),
    binding: BindingName = "mini",
    seed: Seed = 0,
    device: Device = "cpu",
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Recognise event recordings of real pictures by words, and write a page that shows it."""
    started = time.monotonic()
    captions = _captions(paths)
    words = _words(labels, captions)
    binder = load(binding, device=device)
    binder.encoder("event")  # what is missing is told before any file is written
    skipped = SkippedFiles()
    scenes = record(captions, output / "recordings", seed, skipped if skip_bad else None)
    answers = ask(binder, scenes, words)
    page = output / "index.html"
    write_page(page, binder, scenes, answers, seed)
    if as_json:
        print_json({"page": str(page), **_settings(binder, seed), **answers.to_dict(), "skipped": skipped})
        skipped.report()
        return
    print_table(*_table(answers))
    skipped.report()
    for score in answers.summary():
        typer.echo(str(score))
    typer.echo(f"page: {page}  ({time.monotonic() - started:.0f} s)")


def _captions(paths: list[Path] | None) -> dict[Path, str]:
    if not paths:
        return demo_pictures()
    return {
        path: prompts.format_class_name(files.portable_name(path.stem))
        for path in map(Path, readers.list_sample_files(paths, ("image", "event")))
    }


def _words(labels: str, captions: dict[Path, str]) -> list[str]:
    """The words to ask for. What a file is called counts as its caption however its letters are cased."""
    if not labels:
        words = list(dict.fromkeys(captions.values()))
        if len(words) < 2:
            raise BadOption(f"{words} is nothing to choose from; name words with --labels a,b,c")
        return words
    words = tables.parse_names(labels)
    prompts.check_labels(words)
    by_folded = {word.casefold(): word for word in words}
    for path, caption in captions.items():
        captions[path] = by_folded.get(caption.casefold(), caption)
    return words


def record(captions: dict[Path, str], folder: Path, seed: int, skipped: SkippedFiles | None) -> list[Scene]:
    """Make a recording of every picture, write it, and name both; recordings are taken as they are.

    Raises:
        AnybindError: a file cannot be read or is empty (unless `skipped` takes note of it), none is left,
            or the folder cannot be written to.
    """
    _make_folder(folder)
    scenes: list[Scene] = []
    with progress_bar(len(captions), "recording") as advance:
        for number, (path, caption) in enumerate(captions.items()):
            try:
                scenes.append(_record_one(path, caption, folder / f"{number:02d}-{path.stem}.npz", seed))
            except AnybindError as error:
                if skipped is None:
                    raise
                skipped.record(files.portable_name(path), error)
            advance(1)
    if not scenes:
        raise BadInput("no file could be used")
    return scenes


def _record_one(path: Path, caption: str, recording: Path, seed: int) -> Scene:
    sample = read(path)
    source = modalities.infer_modality(sample)
    try:
        modalities.find_modality(source).check(sample)
        events = derive("event", sample, source=source, seed=seed)
        modalities.find_modality("event").check(events)
    except BadInput as error:
        raise BadInput(f"{files.portable_name(path)}: {error}") from error
    if source == "event":
        return Scene(caption, recording=path, picture=None)
    write(events, recording)
    return Scene(caption, recording=recording, picture=path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the folder {folder}: {error.strerror}; give another with --output") from error


def _settings(binder: Binder, seed: int) -> dict[str, object]:
    encoders = {of: binder.identity(of) for of in ("event", "image", "text")}
    return {"binding": binder.name, "seed": seed, "encoders": encoders}


def _table(answers: Answers) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = ("recording of", "words that fit the recording", "picture it is of", "recording that fits the words")
    rows = []
    for row, name in enumerate(answers.names):
        found = answers.words_to_recording.get(answers.captions[row])
        rows.append(
            (
                name,
                _marked(answers.event_to_words.best(row), answers.captions[row]),
                _marked(answers.event_to_pictures.best(row), name) if answers.event_to_pictures else "-",
                _marked(found, name) if found else "-",
            )
        )
    return columns, rows


def _marked(answer: str, truth: str) -> str:
    return f"{'✓' if answer == truth else '✗'} {answer}"
