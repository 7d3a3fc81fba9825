"""Explaining the similarity of a file, or a sample, and a text."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anybind import AnybindWarning, Binder, derive, load, read
from anybind.plugin import BadInput, BadOption, files, modalities, readers, samples
from anybind_explain.page import write_page
from anybind_explain.pairs import SEEN, Relevance, explain_pair
from anybind_explain.panels import Panel, make_panel, write_picture

PAGES, PICTURES = (".html", ".htm"), (".png",)
RATIO = 1.05
"""Aspect ratios of an image and of the recording's frame differ from here on."""


@dataclass(frozen=True, kw_only=True)
class Explanation(Relevance):
    """A relevance map over a frame, and weights of the words of a text.

    Attributes:
        id: path of the file, or the modality of a sample in memory.
        text: the text.
        modality: the modality that the sample was embedded as, `event` or `image`.
        binding: name of the binding.
        encoders: identities of the encoders (and adapters) by modality.
        seed: of the derived sample.
        device: torch device.
        frame: the sample as an image, (height, width, 3) uint8; `grid` lies over the part `seen` of it.
        image: the image that a recording shows, (height, width, 3) uint8; None where none is known.
    """

    id: str
    text: str
    modality: str
    binding: str
    encoders: Mapping[str, str]
    seed: int
    device: str
    frame: np.ndarray = field(repr=False)
    image: np.ndarray | None = field(repr=False)

    @property
    def settings(self) -> dict[str, object]:
        """All that the explanation depends on, JSON-like."""
        names = ("binding", "modality", "encoders", "methods", "seed", "device")
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, object]:
        """JSON-like: score, grid, words, and where the grid lies, in pixels of the frame."""
        height, width = self.frame.shape[:2]
        return {
            "file": self.id,
            "text": self.text,
            "score": self.score,
            "grid": self.grid,
            "rows": self.grid.shape[0],
            "columns": self.grid.shape[1],
            "frame": {"width": width, "height": height},
            "seen": dict(zip(("left", "top", "right", "bottom"), self.seen.box(height, width), strict=True)),
            "words": self.words,
            "settings": self.settings,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draw the map over the frame (and the image): a `.png` picture, or an `.html` page with words and settings.

        Raises:
            BadOption: another ending.
            BadInput: the file cannot be written.
        """
        check_ending(path := Path(path))
        panels = self._panels()
        if path.suffix.lower() in PICTURES:
            write_picture(path, panels)
            return
        shown = {name: value for name, value in self.settings.items() if name not in ("encoders", "methods")}
        shown |= {f"{modality} encoder": identity for modality, identity in self.encoders.items()}
        shown |= {f"relevance: {what}": method for what, method in self.methods.items()}
        write_page(path, files.portable_name(Path(self.id).resolve().name), self.text, self, panels, shown)

    def _panels(self) -> list[Panel]:
        caption = "events, rises red and falls blue" if self.modality == "event" else "picture"
        panels = [make_panel(caption, self.frame, self)]
        if self.image is not None:
            ratios = [each.shape[1] / each.shape[0] for each in (self.frame, self.image)]
            if max(ratios) / min(ratios) > RATIO:
                warnings.warn(
                    f"the picture's ratio of width to height is {ratios[1]:.2f} and the recording's {ratios[0]:.2f}:"
                    " the map over the picture is stretched",
                    AnybindWarning,
                    stacklevel=3,
                )
            panels.append(make_panel("picture that the recording is of", self.image, self))
        return panels


def relevance(
    source: object,
    text: str,
    *,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    image: str | os.PathLike[str] | np.ndarray | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Explanation:
    """Explain the cosine similarity of a recording or an image and a text, on both sides.

    Warns where nothing in the sample speaks for the text, so that the map is empty.

    Args:
        source: a file, or a sample in memory.
        text: not blank.
        binding: as `anybind.load` takes it, or a binder; its encoders must be torch modules.
        modality: what the source is embedded as, `event` or `image`; as `event`, a recording is simulated from an
            image. [default: the source's own]
        image: the image that a recording shows, a file or an array (height, width, 3) uint8.
        seed: of the simulated recording.
        device: torch device, unless `binding` is a binder.

    Returns:
        the map, (rows, columns) float64, 0 or more, weights of the words, and the cosine.

    Raises:
        BadInput: a file that cannot be read, no events, or an encoder of an architecture that cannot be explained.
        BadOption: a blank text, a modality without frames, an image beside an image, or an adapter without gradients.
        UnknownName: no such binding, or it has no encoder for the modality or for text.
    """
    if not text.strip():
        raise BadOption('--text is empty; say what to look for, such as --text "a duck"')
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    name, embedded_as, sample, shown = _read(source, binder, modality, image, seed)
    found = explain_pair(binder, embedded_as, sample, text)
    if not found.grid.any():
        warnings.warn(f"nothing in {name} speaks for {text!r}: the map is empty", AnybindWarning, stacklevel=2)
    return Explanation(
        **vars(found),
        id=name,
        text=text,
        modality=embedded_as,
        binding=binder.name,
        encoders={each: binder.identity(each) for each in (embedded_as, "text")},
        seed=seed,
        device=binder.device,
        frame=np.asarray(modalities.find_modality(embedded_as).show(sample)),
        image=shown,
    )


def check_ending(output: Path) -> None:
    """Raise `BadOption` unless an explanation can be saved under this name."""
    if output.suffix.lower() not in PAGES + PICTURES:
        raise BadOption(f"the output is a picture or a page: give a name that ends in .png or .html, got {output}")


def _read(
    source: object, binder: Binder, modality: str, image: str | os.PathLike[str] | np.ndarray | None, seed: int
) -> tuple[str, str, samples.ImageSample | samples.EventSample, np.ndarray | None]:
    """The name of a source, what it is embedded as, the sample, and the image that a recording shows."""
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    reader = readers.find_reader(path, modality or None) if path else None
    held = reader.spec.modality if reader else modalities.infer_modality(source)
    name = files.portable_name(path) if path else held
    embedded_as = modality or held
    if embedded_as not in SEEN:
        raise BadOption(f"{name} is {embedded_as}, and maps lie over frames of {' or '.join(SEEN)}")
    binder.encoder(embedded_as)  # what is missing is reported before anything is simulated
    original = read(path, reader=reader.name) if path and reader else source
    try:
        modalities.find_modality(held).check(original)
        sample = derive(embedded_as, original, source=held, seed=seed)
        modalities.find_modality(embedded_as).check(sample)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    simulated = (held, embedded_as) == ("image", "event")
    if image is None:
        return name, embedded_as, sample, original if simulated and isinstance(original, np.ndarray) else None
    if embedded_as != "event" or simulated:
        raise BadOption("--picture goes with a recording, which it is the picture of")
    if not isinstance(image, np.ndarray):
        return name, embedded_as, sample, read(image, reader=readers.find_reader(image, "image").name)
    return name, embedded_as, sample, image
