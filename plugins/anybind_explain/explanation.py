"""Explanations of the similarity of a file, or a sample, and a text."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anybind import AnybindWarning, Binder, derive, load, read
from anybind.plugin import BadInput, BadOption, files, modalities, readers, samples, windows
from anybind_explain.attention import ALL
from anybind_explain.page import write_page
from anybind_explain.pairs import MODALITIES, Relevance, check_options, explain_pair
from anybind_explain.panels import MapPanel, make_panel, write_image

PAGES, IMAGES = (".html", ".htm"), (".png",)
MAX_RATIO = 1.05
"""Largest quotient of the aspect ratios of an image and a recording without a warning."""


@dataclass(frozen=True, kw_only=True)
class Explanation(Relevance):
    """A relevance map over a frame, and weights of the words of a text.

    Attributes:
        id: path of the file, or the modality of a sample in memory.
        text: the text.
        modality: modality of the embedding, `event` or `image`.
        binding: name of the binding.
        encoders: identities of the encoders (and adapters) by modality.
        seed: seed of the derived sample.
        device: torch device.
        frame: the sample as an image, (height, width, 3) uint8; `grid` covers its `region`.
        image: the image that a recording shows, (height, width, 3) uint8; None if unknown.
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
        """All settings of the explanation, JSON-like."""
        names = ("binding", "modality", "encoders", "methods", "scale", "first_block", "seed", "device")
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, object]:
        """Return JSON-like fields: score, grid, words, and the region of the grid in pixels of the frame."""
        height, width = self.frame.shape[:2]
        return {
            "file": self.id,
            "text": self.text,
            "score": self.score,
            "grid": self.grid,
            "rows": self.grid.shape[0],
            "columns": self.grid.shape[1],
            "frame": {"width": width, "height": height},
            "half_area": self.half_area,
            "is_flat": self.is_flat,
            "region": dict(zip(("left", "top", "right", "bottom"), self.region.to_pixels(height, width), strict=True)),
            "words": self.words,
            "settings": self.settings,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draw the map over the frame (and the image): a `.png` image, or an `.html` page with words and settings.

        Raises:
            BadOption: another suffix.
            BadInput: the file cannot be written.
        """
        check_suffix(path := Path(path))
        panels = self._build_panels()
        if path.suffix.lower() in IMAGES:
            write_image(path, panels)
            return
        page_settings = {name: value for name, value in self.settings.items() if name not in ("encoders", "methods")}
        page_settings |= {f"{modality} encoder": identity for modality, identity in self.encoders.items()}
        page_settings |= {f"relevance: {name}": method for name, method in self.methods.items()}
        write_page(path, files.portable_name(Path(self.id).resolve().name), self.text, self, panels, page_settings)

    def _build_panels(self) -> list[MapPanel]:
        caption = "events (ON red, OFF blue)" if self.modality == "event" else "image"
        panels = [make_panel(caption, self.frame, self)]
        if self.image is not None:
            ratios = [each.shape[1] / each.shape[0] for each in (self.frame, self.image)]
            if max(ratios) / min(ratios) > MAX_RATIO:
                warnings.warn(
                    f"aspect ratios differ (image {ratios[1]:.2f}, recording {ratios[0]:.2f}): the map over the"
                    " image is stretched",
                    AnybindWarning,
                    stacklevel=3,
                )
            panels.append(make_panel("image of the recording", self.image, self))
        return panels


def relevance(
    source: object,
    text: str,
    *,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    image: str | os.PathLike[str] | np.ndarray | None = None,
    scale: float | None = None,
    first_block: str = ALL,
    seed: int = 0,
    device: str = "cpu",
    options: windows.WindowOptions | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> Explanation:
    """Explain the cosine similarity of a recording or an image and a text by a relevance map and word weights.

    Warns if the map is empty or flat: no region stands out.

    Args:
        source: a file, or a sample in memory.
        text: not blank.
        binding: name or TOML file of a binding, or a binder; its encoders must be torch modules.
        modality: embed the source as this modality, `event` or `image`; event: simulate a recording of an image.
            [default: the source's own]
        image: the image that a recording shows, a file or an array (height, width, 3) uint8.
        scale: the gradients are those of this factor times the cosine similarity, above 0; rollout is not linear in it.
            [default: the encoder's logit scale, or 1 if it has none]
        first_block: block that attention rollout starts at: `all` (the first, as in the equations) or `last` (the last
            alone, as in the method's CLIP example).
        seed: seed of the simulated recording.
        device: torch device; unused if `binding` is a binder.
        options: part of a recording, and its windows, of which the one that is most similar to the text is explained.
            [default: windows for event recordings of more than 0.6 s]
        reader_options: options of the reader of a file, such as the `size` of a sensor.

    Returns:
        the map, (rows, columns) float64, 0 or more, weights of the words, and the cosine similarity.

    Raises:
        BadInput: a file that cannot be read, no events, or an encoder of an unsupported architecture.
        BadOption: a blank text, a modality without frames, `image` without a recording, an invalid scale or first
            block, or an adapter without gradients.
        UnknownName: no such binding, or the binding has no encoder for the modality or for text.
    """
    if not text.strip():
        raise BadOption('expected a text, got an empty one; for example --text "a duck"')
    check_options(scale, first_block)
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, backend="torch")
    name, embedded_modality, sample, shown_image = _read_source(
        source, binder, modality, image, seed, reader_options or {}
    )
    selected = _select_window(binder, embedded_modality, sample, text, options or windows.WindowOptions())
    if not selected.is_whole:
        name, sample = f"{name}#{windows.format_range(selected.start_us, selected.end_us)}", selected.sample
    pair = explain_pair(binder, embedded_modality, sample, text, scale=scale, first_block=first_block)
    if pair.is_flat:
        warnings.warn(f"{name}, {text!r}: {pair.describe_map()}", AnybindWarning, stacklevel=2)
    return Explanation(
        **vars(pair),
        id=name,
        text=text,
        modality=embedded_modality,
        binding=binder.name,
        encoders={each: binder.identity(each) for each in (embedded_modality, "text")},
        seed=seed,
        device=binder.device,
        frame=np.asarray(modalities.find_modality(embedded_modality).show(sample)),
        image=shown_image,
    )


def _select_window(
    binder: Binder, modality: str, sample: object, text: str, options: windows.WindowOptions
) -> windows.SampleWindow[Any]:
    """Return the window of a sample that is most similar to a text, of those in which something happens if any."""
    kind = modalities.find_modality(modality)
    candidates = list(kind.split(sample, options))
    candidates = [each for each in candidates if not each.inactivity] or candidates
    if not candidates:
        raise BadInput(f"nothing is left of the {modality} in this time range")
    if len(candidates) == 1:
        kind.check(candidates[0].sample)
        return candidates[0]
    embedded = binder.embed(modality, [each.sample for each in candidates])
    return candidates[int((embedded @ binder.embed("text", [text]))[:, 0].argmax())]


def check_suffix(output: Path) -> None:
    """Raise `BadOption` unless an explanation can be saved under this name."""
    if output.suffix.lower() not in PAGES + IMAGES:
        raise BadOption(f"output: expected a name that ends in .png or .html, got {output}")


def _read_source(
    source: object,
    binder: Binder,
    modality: str,
    image: str | os.PathLike[str] | np.ndarray | None,
    seed: int,
    reader_options: Mapping[str, object],
) -> tuple[str, str, samples.ImageSample | samples.EventSample, np.ndarray | None]:
    """Return the name of a source, the modality to embed it as, the sample, and the image that a recording shows."""
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    reader = readers.find_reader(path, modality or None, options=reader_options) if path else None
    source_modality = reader.spec.modality if reader else modalities.infer_modality(source)
    name = files.portable_name(path) if path else source_modality
    embedded_modality = modality or source_modality
    if embedded_modality not in MODALITIES:
        raise BadOption(f"{name}: expected {' or '.join(MODALITIES)}, got {embedded_modality}, which has no frames")
    binder.encoder(embedded_modality)  # fails before anything is simulated
    original = read(path, reader=reader.name, **reader_options) if path and reader else source
    try:
        modalities.find_modality(source_modality).check(original)
        sample = derive(embedded_modality, original, source=source_modality, seed=seed)
        modalities.find_modality(embedded_modality).check(sample)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    is_simulated = (source_modality, embedded_modality) == ("image", "event")
    if image is None:
        return name, embedded_modality, sample, original if is_simulated and isinstance(original, np.ndarray) else None
    if embedded_modality != "event" or is_simulated:
        raise BadOption(f"{name}: --image is for event recordings only")
    if not isinstance(image, np.ndarray):
        return name, embedded_modality, sample, read(image, reader=readers.find_reader(image, "image").name)
    return name, embedded_modality, sample, image
