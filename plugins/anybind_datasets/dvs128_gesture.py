"""DVS128 Gesture: hand and arm gestures of 29 people in front of an event camera."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, Dataset, Item
from anybind_datasets.lists import load_lists

TABLE = ("class", "startTime_usec", "endTime_usec")


class Dvs128Gesture(Dataset):
    """DVS128 Gesture: 1,342 gestures of 11 classes, segments of 122 recordings (AEDAT 3.1) by their label tables.

    The folder contains the recordings and `trials_to_train.txt`, or a subfolder `DvsGesture` with them. An item is one
    gesture: its source is the whole recording; its reader options are `start`, `end` (microseconds, end excluded) and
    `absolute` (both on the recording's clock). Tables are used as published, including known errors (in user22_led,
    gesture 9 ends during the next). The subjects are 23 in `train` and 6 others in `test`.

    Source: Amir et al., 2017, "A Low Power, Fully Event-Based Gesture Recognition System".
    """

    name = "DVS128 Gesture"
    licence = "CC BY 4.0"
    size = "122 recordings of 29 people; 11 gestures in each"
    published = "https://research.ibm.com/interactive/dvsgesture (DvsGesture.tar.gz, unpacked)"
    sample_modalities = ("event",)
    splits: ClassVar = {"train": 98 * 11, "test": 24 * 11}  # lower bounds: a table may list a gesture twice
    split = "test"
    inner = "DvsGesture"

    def class_names(self) -> Mapping[str, str]:
        return load_lists("dvs128_gesture").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [f"trials_to_{split}.txt" for split in splits]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for name in self.list_required_paths(splits):
            for line in filter(None, map(str.strip, (self.root / name).read_text().splitlines())):
                path = self.root / line
                table = path.with_name(f"{path.stem}_labels.csv")
                missing = [required for required in (path, table) if not required.is_file()]
                for required in missing:
                    yield self.missing(f"{name} lists {line}, missing {required}")
                for number, (label, start, end) in enumerate([] if missing else self._read_gestures(table)):
                    if label in self.selected_labels:
                        id, options = f"{self.make_id(path)}:{number}", {"start": start, "end": end, "absolute": True}
                        yield Item(id, path, self.class_by_label[label], options)

    def _read_gestures(self, table: Path) -> Iterator[tuple[str, int, int]]:
        """Read label, start and end of each gesture in a table."""
        with table.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if number == 1 and tuple(cell.strip() for cell in row) == TABLE:
                    continue
                try:
                    label, start, end = (int(cell) for cell in row)
                except ValueError:
                    raise BadInput(f"{table}, line {number}: expected integers {', '.join(TABLE)}, got {row}") from None
                if str(label) not in self.class_by_label or end <= start:
                    raise BadInput(f"{table}, line {number}: invalid gesture {label} from {start} to {end} us")
                yield str(label), start, end
