"""DVS128 Gesture: hand and arm gestures of 29 people in front of an event camera."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.local import EventDataset, choose, load_lists

SPLITS = {
    "train": ("trials_to_train.txt",),
    "test": ("trials_to_test.txt",),
    "all": ("trials_to_train.txt", "trials_to_test.txt"),
}
TABLE = ("class", "startTime_usec", "endTime_usec")


class Dvs128Gesture(EventDataset):
    """1,342 gestures of 11 classes, cut out of 122 recordings (AEDAT 3.1) at the times of the tables beside them.

    An item is one gesture: its source is the whole recording, and `start` and `end` (microseconds on the
    recording's clock, the end not included) stand in its options for the reader. The tables are taken as published,
    also where they are known to be wrong (in user22_led, gesture 9 ends during the next).

    Source: Amir et al., 2017, "A Low Power, Fully Event-Based Gesture Recognition System".
    """

    name = "DVS128 Gesture"
    licence = "CC BY 4.0"
    size = "122 recordings of 29 people; 11 gestures in each"
    parts: ClassVar = {"train": 98 * 11, "test": 24 * 11}
    """At least: a table may list a gesture twice."""
    published = "https://research.ibm.com/interactive/dvsgesture (DvsGesture.tar.gz, unpacked)"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
    ) -> None:
        """List the gestures; of the recordings, nothing is read yet.

        Args:
            folder: holds the recordings and `trials_to_train.txt`, or `DvsGesture` which does.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these, by number (`1` to `11`) or class name.
            limit: keep about this many, spread evenly over the classes.
            split: `train` (23 people), `test` (6 others) or `all`, as published.

        Raises:
            BadInput: the folder lacks a list, a recording or a table of times, or a table is damaged.
            BadOption: no such class or split, or a limit below 1.
        """
        super().__init__(folder, load_lists(__file__)["names"], modalities, classes)
        lists = choose(split, SPLITS)
        root = self.find_root("DvsGesture", lists)
        self.hold((item for name in lists for item in self._gestures(root, name)), limit)

    def _gestures(self, root: Path, name: str) -> Iterator[Item]:
        recordings = [line.strip() for line in (root / name).read_text().splitlines() if line.strip()]
        for recording in recordings:
            path = root / recording
            table = path.with_name(f"{path.stem}_labels.csv")
            absent = [needed for needed in (path, table) if not needed.is_file()]
            for needed in absent:
                self.lack(f"{name} lists {recording}, but there is no {needed}")
            if absent:
                continue
            for number, (label, start, end) in enumerate(self._rows(table)):
                if label in self.kept:
                    options = {"start": start, "end": end}
                    yield Item(f"{self.id_of(path)}:{number}", path, self.names[label], options)

    def _rows(self, table: Path) -> Iterator[tuple[str, int, int]]:
        """Label, start and end of each gesture of a table."""
        with table.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if number == 1 and tuple(cell.strip() for cell in row) == TABLE:
                    continue
                try:
                    label, start, end = (int(cell) for cell in row)
                except ValueError:
                    raise BadInput(
                        f"{table}, line {number}: expected {', '.join(TABLE)} as numbers, got {row}"
                    ) from None
                if str(label) not in self.names or end <= start:
                    raise BadInput(f"{table}, line {number}: there is no gesture {label} from {start} to {end} us")
                yield str(label), start, end
