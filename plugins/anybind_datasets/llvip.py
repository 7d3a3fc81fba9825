"""LLVIP: streets at night, in infrared and in visible light, and the people in them."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Item
from anybind_datasets.local_dataset import LocalDataset
from anybind_datasets.pairs import chosen_parts, in_first_asked

NAMES = {"background": "background", "person": "people"}
"""The words that LanguageBind asks for."""
PAIRS = {"train": 12_025, "test": 3_463}
"""Published pairs of pictures of each part."""
KINDS = {"thermal": "infrared", "image": "visible"}
TRIES = 50
"""How often a place without people is looked for, before a picture is found to be full of them."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a picture, in pixels; right and bottom are behind the last pixel."""


class Llvip(LocalDataset):
    """15,488 pairs of pictures of 1280x1024 pixels, infrared (`thermal`) and visible (`image`), with 41,579 people.

    The folder holds `infrared/train/010001.jpg`, ..., `visible` likewise, and `Annotations/010001.xml` (Pascal VOC).
    There are two ways to ask about them:

    * `what=crops`: is this a person? Each marked person is cut out, and a background of the same size from a place of
      the same picture where no one is marked, drawn by `seed`. LanguageBind sorts pictures of LLVIP into folders of
      these two classes, but how it made them is not known here: its figures compare only roughly. Where a crowd leaves
      no place, there is one background less.
    * `what=pairs`: whole pictures without classes, for `retrieval` from one kind of light to the other.

    The item's source is the infrared picture (the visible one, where only `image` is asked for), the other its partner.

    Source: Jia et al., 2021, "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision".
    """

    name = "LLVIP"
    licence = "non-commercial, see the terms on the data set's page"
    size = "15,488 pairs of pictures, 41,579 people marked in them"
    published = "https://bupt-ai-cz.github.io/LLVIP/ (LLVIP.zip, unpacked)"
    kinds = ("thermal", "image")
    parts: ClassVar = {"train": None, "test": None}
    """How many backgrounds there are depends on where people stand; a check counts the pairs."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
        what: str = "crops",
        seed: int = 0,
    ) -> None:
        """List the crops or pairs; annotations are read, no picture.

        Args:
            folder: holds `infrared`, `visible` and `Annotations`, or `LLVIP` which does.
            modalities: `thermal` and `image`: what is asked for; both by default.
            classes: of crops, keep only these: `people` or `background`.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `test` or `all`, as published.
            what: `crops` or `pairs`.
            seed: of the places of backgrounds.

        Raises:
            BadInput: the folder lacks a part or a picture, or an annotation is damaged.
            BadOption: no such class, split or `what`, or a limit below 1.
        """
        super().__init__(folder, modalities)
        if what not in ("crops", "pairs"):
            raise BadOption(f"what is crops or pairs, got {what!r}")
        parts = chosen_parts(split, list(PAIRS))
        self.keep_classes(NAMES if what == "crops" else {}, classes)
        if not (self.root / "Annotations").is_dir() and (self.root / "LLVIP").is_dir():
            self.root = self.root / "LLVIP"
        absent = [name for name in ("Annotations", *KINDS.values()) if not (self.root / name).is_dir()]
        if absent:
            raise self.missing(f"{self.root} lacks {', '.join(absent)}")
        self.what, self.seed = what, seed
        self.hold((item for part in parts for item in self._items_of(part)), limit)

    def _items_of(self, part: str) -> Iterator[Item]:
        stems = sorted({path.stem for name in KINDS.values() for path in (self.root / name / part).glob("*.jpg")})
        pairs = 0
        for stem in stems:
            files = {kind: self.root / name / part / f"{stem}.jpg" for kind, name in KINDS.items()}
            table = self.root / "Annotations" / f"{stem}.xml"
            absent = [path for path in (*files.values(), table) if not path.is_file()]
            for path in absent:
                self.lack(f"there is no file {path}")
            if absent:
                continue
            pairs += 1
            cuts = [(stem, "", {})] if self.what == "pairs" else self._crops(stem, table)
            for id, label, options in cuts:
                held = {kind: Item(f"{part}/{id}", path, label, options) for kind, path in files.items()}
                yield in_first_asked(held, self.asked)
        if self.checking and pairs < PAIRS[part]:
            self.lack(f"{PAIRS[part] - pairs} of {PAIRS[part]} pairs of pictures are missing")

    def _crops(self, stem: str, table: Path) -> Iterator[tuple[str, str, dict[str, Box]]]:
        """Id, label and reader's options of each person of a picture and of a background for each."""
        size, people = _annotation(table)
        random = np.random.default_rng([self.seed, int.from_bytes(stem.encode())])
        for number, box in enumerate(people):
            yield f"{stem}:person:{number}", NAMES["person"], {"box": box}
            place = _empty_place(random, size, people, box[2] - box[0], box[3] - box[1])
            if place is not None:
                yield f"{stem}:background:{number}", NAMES["background"], {"box": place}


def _annotation(path: Path) -> tuple[tuple[int, int], list[Box]]:
    """Width and height of a picture, and the boxes of its people, cut to the picture.

    The standard library's parser is enough here: it loads nothing that a file names, and expands no entities of others.
    """
    try:
        root = ET.parse(path).getroot()
        width, height = (int(root.findtext(f"size/{side}") or "") for side in ("width", "height"))
        boxes = []
        for thing in root.iterfind("object"):
            if thing.findtext("name") == "person":
                corners = [float(thing.findtext(f"bndbox/{name}") or "") for name in ("xmin", "ymin", "xmax", "ymax")]
                left, top, right, bottom = (round(number) for number in corners)
                boxes.append((max(left, 0), max(top, 0), min(right, width), min(bottom, height)))
    except (OSError, ET.ParseError, ValueError, OverflowError) as error:
        raise BadInput(f"{path} is no annotation in Pascal's form: {error}") from error
    return (width, height), [box for box in boxes if box[0] < box[2] and box[1] < box[3]]


def _empty_place(
    random: np.random.Generator, size: tuple[int, int], taken: Iterable[Box], width: int, height: int
) -> Box | None:
    """A box of this width and height that touches none of those taken; None where none was found."""
    for _ in range(TRIES):
        left = int(random.integers(0, size[0] - width + 1))
        top = int(random.integers(0, size[1] - height + 1))
        if not any(
            left < each[2] and each[0] < left + width and top < each[3] and each[1] < top + height for each in taken
        ):
            return left, top, left + width, top + height
    return None
