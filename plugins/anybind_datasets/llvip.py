"""LLVIP: infrared and visible images of streets at night, with annotated people."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item

CLASS_NAMES = {"background": "background", "person": "people"}
"""LanguageBind's class names."""
N_PAIRS = {"train": 12_025, "test": 3_463}
"""Published number of image pairs by split."""
FOLDERS = {"thermal": "infrared", "image": "visible"}
MAX_TRIES = 50
"""Number of random draws for a background box without people."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a box in pixels; right and bottom are exclusive."""


class Llvip(Dataset):
    """LLVIP: 15,488 image pairs of 1280x1024 pixels, infrared (`thermal`) and visible (`image`), with 41,579 people.

    The folder, or its subfolder `LLVIP`, contains `infrared/train/010001.jpg`, ..., `visible` likewise, and
    `Annotations/010001.xml` (Pascal VOC). The option `samples` selects:

    * `crops`: person classification. Each annotated person is cropped, with a background crop of the same size from the
      same image, at a position without people drawn by `seed`. LanguageBind classifies LLVIP crops of these two
      classes, but its crops are not published, so that results compare only roughly. Crowded images may have fewer
      background crops.
    * `pairs`: complete images without classes, for `retrieval` between the two modalities.

    An item's source is the infrared image (or the visible one, if only `image` is selected), the other its partner.

    Source: Jia et al., 2021, "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision".
    """

    name = "LLVIP"
    licence = "non-commercial, see the terms on the dataset's page"
    size = "15,488 image pairs with 41,579 annotated people"
    published = "https://bupt-ai-cz.github.io/LLVIP/ (LLVIP.zip, unpacked)"
    sample_modalities = ("thermal", "image")
    splits: ClassVar = {"train": None, "test": None}
    """The number of background crops depends on the annotations; `scan` checks the number of pairs."""
    split = "test"
    inner = "LLVIP"
    options = ("samples", "seed")
    samples: str = "crops"
    seed: int = 0

    def class_names(self) -> Mapping[str, str]:
        if self.samples not in ("crops", "pairs"):
            raise BadOption(f"samples: expected crops or pairs, got {self.samples!r}")
        return CLASS_NAMES if self.samples == "crops" else {}

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return ["Annotations", *FOLDERS.values()]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for split in splits:
            folders = {modality: self.root / name / split for modality, name in FOLDERS.items()}
            n_pairs = 0
            for stem in sorted({path.stem for folder in folders.values() for path in folder.glob("*.jpg")}):
                files = {modality: folder / f"{stem}.jpg" for modality, folder in folders.items()}
                table = self.root / "Annotations" / f"{stem}.xml"
                missing = [path for path in (*files.values(), table) if not path.is_file()]
                yield from (self.missing(f"missing file {path}") for path in missing)
                if missing:
                    continue
                n_pairs += 1
                crops = [(stem, "", {})] if self.samples == "pairs" else self._list_crops(stem, table)
                for id, label, options in crops:
                    items = {modality: Item(f"{split}/{id}", path, label, options) for modality, path in files.items()}
                    yield self.merge_modalities(items)
            if n_pairs < N_PAIRS[split]:
                n_missing = N_PAIRS[split] - n_pairs
                yield self.missing(f"{n_missing} of {N_PAIRS[split]} image pairs are missing", needed=False)

    def _list_crops(self, stem: str, table: Path) -> Iterator[tuple[str, str, dict[str, Box]]]:
        """List id, label and reader options of each person crop and its background crop."""
        size, people = _read_annotation(table)
        random = np.random.default_rng([self.seed, int.from_bytes(stem.encode())])
        for number, box in enumerate(people):
            yield f"{stem}:person:{number}", CLASS_NAMES["person"], {"box": box}
            background = _draw_background(random, size, people, box[2] - box[0], box[3] - box[1])
            if background is not None:
                yield f"{stem}:background:{number}", CLASS_NAMES["background"], {"box": background}


def _read_annotation(path: Path) -> tuple[tuple[int, int], list[Box]]:
    """Read an image's width and height, and the boxes of people, clipped to the image.

    The standard library's parser is safe here: it resolves no external entities.
    """
    try:
        root = ET.parse(path).getroot()
        width, height = (int(root.findtext(f"size/{side}") or "") for side in ("width", "height"))
        boxes = []
        for annotated in root.iterfind("object"):
            if annotated.findtext("name") == "person":
                corners = [
                    float(annotated.findtext(f"bndbox/{name}") or "") for name in ("xmin", "ymin", "xmax", "ymax")
                ]
                left, top, right, bottom = (round(number) for number in corners)
                boxes.append((max(left, 0), max(top, 0), min(right, width), min(bottom, height)))
    except (OSError, ET.ParseError, ValueError, OverflowError) as error:
        raise BadInput(f"{path}: not a Pascal VOC annotation: {error}") from error
    return (width, height), [box for box in boxes if box[0] < box[2] and box[1] < box[3]]


def _draw_background(
    random: np.random.Generator, size: tuple[int, int], occupied: Iterable[Box], width: int, height: int
) -> Box | None:
    """Draw a box of this size that overlaps none of the occupied boxes; None if all draws fail."""
    for _ in range(MAX_TRIES):
        left = int(random.integers(0, size[0] - width + 1))
        top = int(random.integers(0, size[1] - height + 1))
        if not any(
            left < each[2] and each[0] < left + width and top < each[3] and each[1] < top + height for each in occupied
        ):
            return left, top, left + width, top + height
    return None
