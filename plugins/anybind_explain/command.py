"""`anybind explain`: where in a recording or picture, and in which words, a text is found."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from anybind import AnybindWarning, Binder, derive, load, read
from anybind.commandline import AsJson, BindingName, Device, Seed, StoreFlag, open_store, print_json, print_table
from anybind.plugin import BadInput, BadOption, files, modalities, readers
from anybind_explain.page import write_page
from anybind_explain.panels import Panel, make_panel, write_picture
from anybind_explain.relevance import SEEN, Relevance, explain_pair

PAGES, PICTURES = (".html", ".htm"), (".png",)
RATIO = 1.05
"""From where on a picture's ratio of width to height is another than that of the recording's frame."""


@dataclass(frozen=True)
class Shown:
    """What is explained.

    Attributes:
        of: the modality that it is embedded as.
        sample: of that modality.
        picture: that a recording was made from, (height, width, 3) uint8; None where there is none.
    """

    of: str
    sample: Any
    picture: np.ndarray | None


def explain(
    path: Annotated[Path, typer.Argument(metavar="RECORDING|PICTURE", help="A recording or a picture.")],
    text: Annotated[str, typer.Option(help='What to look for in it: "a duck".')],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A picture (.png) or a page (.html).")] = None,
    binding: BindingName = "mini",
    modality: Annotated[str, typer.Option(help="Embed it as this; a picture becomes a recording as event.")] = "",
    picture: Annotated[Path | None, typer.Option(help="The picture that a recording is of, to draw over too.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Show where in a recording or picture, and in which words, their likeness lies."""
    if not text.strip():
        raise BadOption('--text is empty; say what to look for, such as --text "a duck"')
    if output is not None:
        if output.suffix.lower() not in PAGES + PICTURES:
            raise BadOption(f"the output is a picture or a page: give a name that ends in .png or .html, got {output}")
        files.check_output(output)
    binder = load(binding, device=device, store=open_store(store))
    shown = read_shown(path, binder, modality, picture, seed)
    found = explain_pair(binder, shown.of, shown.sample, text)
    if not found.grid.any():
        warnings.warn(f"nothing in {path} speaks for {text!r}: the map is empty", AnybindWarning, stacklevel=1)
    frame = np.asarray(modalities.find_modality(shown.of).show(shown.sample))
    settings = _settings(binder, shown, found, seed)
    if output is not None:
        _write(output, path, text, shown, frame, found, settings)
    if as_json:
        print_json(_fields(path, text, frame, found, settings, output))
    else:
        rows = [(each.word, f"{each.weight:.4g}", f"{100 * each.share:.1f} %") for each in found.words]
        print_table(("word", "weight", "share"), rows)
        typer.echo(f"cosine: {found.score:.3f}")
        if output is not None:
            typer.echo(f"{'page' if output.suffix.lower() in PAGES else 'map'}: {output}")


def read_shown(path: Path, binder: Binder, modality: str, picture: Path | None, seed: int) -> Shown:
    """The file as what it shall be embedded as, and the picture that a recording is of.

    Raises:
        BadInput: a file cannot be read, or is of another modality, or there are no events.
        BadOption: a modality without frames, or a picture beside a picture.
        UnknownName: the binding lacks the modality.
    """
    reader = readers.find_reader(path, modality or None)
    held = reader.spec.modality
    of = modality or held
    if of not in SEEN:
        raise BadOption(f"{path} is {of}, and maps lie over frames of {' or '.join(SEEN)}")
    binder.encoder(of)  # what is missing is told before anything is simulated
    read_as = read(path, reader=reader.name)
    try:
        modalities.find_modality(held).check(read_as)
        sample = derive(of, read_as, source=held, seed=seed)
        modalities.find_modality(of).check(sample)
    except BadInput as error:
        raise BadInput(f"{files.name_of_path(path)}: {error}") from error
    made_from = read_as if (held, of) == ("image", "event") else None
    if picture is not None:
        if of != "event" or made_from is not None:
            raise BadOption("--picture goes with a recording, which it is the picture of")
        made_from = read(picture, reader=readers.find_reader(picture, "image").name)
    return Shown(of, sample, made_from)


def _write(
    output: Path,
    path: Path,
    text: str,
    shown: Shown,
    frame: np.ndarray,
    found: Relevance,
    settings: dict[str, Any],
) -> None:
    panels = _panels(shown, frame, found)
    if output.suffix.lower() in PICTURES:
        write_picture(output, panels)
        return
    told = {name.replace("_", " "): value for name, value in settings.items() if name not in ("encoders", "methods")}
    told |= {f"{of} encoder": identity for of, identity in settings["encoders"].items()}
    told |= {f"relevance: {what}": how for what, how in settings["methods"].items()}
    write_page(output, files.name_of_path(path.resolve().name), text, found, panels, told)


def _panels(shown: Shown, frame: np.ndarray, found: Relevance) -> list[Panel]:
    panels = [make_panel("events, rises red and falls blue" if shown.of == "event" else "picture", frame, found)]
    if shown.picture is not None:
        ratios = [each.shape[1] / each.shape[0] for each in (frame, shown.picture)]
        if max(ratios) / min(ratios) > RATIO:
            warnings.warn(
                f"the picture's ratio of width to height is {ratios[1]:.2f} and the recording's {ratios[0]:.2f}:"
                " the map over the picture is stretched",
                AnybindWarning,
                stacklevel=2,
            )
        panels.append(make_panel("picture that the recording is of", shown.picture, found))
    return panels


def _settings(binder: Binder, shown: Shown, found: Relevance, seed: int) -> dict[str, Any]:
    return {
        "binding": binder.name,
        "modality": shown.of,
        "encoders": {of: binder.identity(of) for of in (shown.of, "text")},
        "methods": found.methods,
        "seed": seed,
        "device": binder.device,
    }


def _fields(
    path: Path, text: str, frame: np.ndarray, found: Relevance, settings: dict[str, Any], output: Path | None
) -> dict[str, Any]:
    height, width = frame.shape[:2]
    left, top, right, bottom = found.seen.box(height, width)
    return {
        "file": files.name_of_path(path),
        "text": text,
        "score": found.score,
        "grid": found.grid,
        "rows": found.grid.shape[0],
        "columns": found.grid.shape[1],
        "frame": {"width": width, "height": height},
        "seen": {"left": left, "top": top, "right": right, "bottom": bottom},
        "words": [vars(each) for each in found.words],
        "settings": settings,
        "output": None if output is None else files.name_of_path(output),
    }
