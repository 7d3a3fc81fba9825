"""LLVIP: streets at night, in infrared and in visible light, and the people in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item

NAMES = {"background": "background", "person": "people"}
"""The words that LanguageBind asks for."""
PAIRS = {"train": 12_025, "test": 3_463}
"""Published pairs of pictures of each part."""
FOLDERS = {"thermal": "infrared", "image": "visible"}
TRIES = 50
"""How often a place without people is looked for, before a picture is found to be full of them."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a picture, in pixels; right and bottom are behind the last pixel."""


class Llvip(Dataset):
    """15,488 pairs of pictures of 1280x1024 pixels, infrared (`thermal`) and visible (`image`), with 41,579 people.

    The folder holds `infrared/train/010001.jpg`, ..., `visible` likewise, and `Annotations/010001.xml` (Pascal VOC).
    There are two ways to ask about them:

    * `what=crops`: is this a person? Each marked person is cut out, and a background of the same size from a place of
      the same picture where no one is marked, drawn by `seed`. LanguageBind sorts pictures of LLVIP into folders of
      these two classes, but how it made them is not known here: its figures compare only roughly. Where a crowd leaves
      no place, there is one background less.
    * `what=pairs`: whole pictures without classes, for `retrieval` from one kind of light to the other.

    The item's source is the infrared picture (the visible one, where only `image` is asked for), the other its partner.
    The folder may also hold `LLVIP` which has the three.

    Source: Jia et al., 2021, "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision".
    """

    name = "LLVIP"
    licence = "non-commercial, see the terms on the data set's page"
    size = "15,488 pairs of pictures, 41,579 people marked in them"
    published = "https://bupt-ai-cz.github.io/LLVIP/ (LLVIP.zip, unpacked)"
    sample_modalities = ("thermal", "image")
    splits: ClassVar = {"train": None, "test": None}
    """How many backgrounds there are depends on where people stand; a check counts the pairs."""
    split = "test"
    inner = "LLVIP"
    options = ("what", "seed")
    what: str = "crops"
    seed: int = 0

    def class_names(self) -> Mapping[str, str]:
        if self.what not in ("crops", "pairs"):
            raise BadOption(f"what is crops or pairs, got {self.what!r}")
        return NAMES if self.what == "crops" else {}

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return ["Annotations", *FOLDERS.values()]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for split in splits:
            places = {kind: self.root / name / split for kind, name in FOLDERS.items()}
            pairs = 0
            for stem in sorted({path.stem for place in places.values() for path in place.glob("*.jpg")}):
                files = {kind: place / f"{stem}.jpg" for kind, place in places.items()}
                table = self.root / "Annotations" / f"{stem}.xml"
                absent = [path for path in (*files.values(), table) if not path.is_file()]
                yield from (self.missing(f"there is no file {path}") for path in absent)
                if absent:
                    continue
                pairs += 1
                for id, label, options in [(stem, "", {})] if self.what == "pairs" else self._crops(stem, table):
                    forms = {kind: Item(f"{split}/{id}", path, label, options) for kind, path in files.items()}
                    yield self.merge_modalities(forms)
            if pairs < PAIRS[split]:
                lost = PAIRS[split] - pairs
                yield self.missing(f"{lost} of {PAIRS[split]} pairs of pictures are missing", needed=False)

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
