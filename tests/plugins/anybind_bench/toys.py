"""A plugin of small parts without torch: data sets of words, tasks that leave marks, bindings that know nothing.

Every answer appends a line to the file that the variable TOYS_MARKS names; a task with `gate` waits until the file
TOYS_GATE is there.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anybind import BadInput, Binding, Result, Space, normalize
from anybind.plugin import (
    BindingSpec,
    Dataset,
    DatasetSpec,
    Encoder,
    EncoderSpec,
    Item,
    Registrar,
    Task,
    TaskSpec,
    hookimpl,
)

anybind_contract = 1

SPACE = Space("toy", 4)


class Words(Encoder):
    """Vectors drawn by a hash of the text."""

    space = SPACE

    def __init__(self, *, modality: str = "text", salt: str = "", broken: bool = False) -> None:
        if broken:
            raise BadInput("the weights are not there")
        self.modality, self.salt = modality, salt
        mark(f"tower {modality}{salt}")

    @property
    def weights_hash(self) -> str:
        return hashlib.sha256(self.salt.encode()).hexdigest()[:12]

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        return {"toy": 1}

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(f"{self.salt}{each}".encode()).digest()[:4], "big") for each in inputs]
        return normalize(np.stack([np.random.default_rng(seed).standard_normal(SPACE.dim) for seed in seeds]))


def toy(argument: str) -> Binding:
    """`toy` or `toy:SALT`."""
    return Binding(f"toy{argument}", {"text": Binding.configure("words", salt=argument)})


def wordless(argument: str) -> Binding:
    """A binding without an encoder of texts."""
    return Binding("wordless", {"image": Binding.configure("words", of="image")})


def broken(argument: str) -> Binding:
    """A binding whose tower cannot be loaded."""
    return Binding("broken", {"text": Binding.configure("words", broken=True)})


class Notes(Dataset):
    """The lines of `notes.txt`."""

    name = "notes"
    published = "https://example.org/notes"

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return ["notes.txt"]

    def scan(self, splits: Sequence[str]) -> Iterator[Item]:
        for number, line in enumerate((self.root / "notes.txt").read_text().splitlines()):
            yield Item(f"{number}", line)


class Written(Dataset):
    """Writes its one text into the folder that it is given."""

    name = "written"
    takes_limit = False

    def __init__(self, folder: Path, *, modalities: Any = None) -> None:
        mark(f"made in {'an empty' if not any(folder.iterdir()) else 'a full'} folder")
        (folder / "text.txt").write_text("something made")
        self.folder = folder

    @property
    def items(self) -> Sequence[Item]:
        return [Item("0", (self.folder / "text.txt").read_text())]

    @property
    def classes(self) -> Sequence[str]:
        return []


class Count(Task):
    """How many samples there are; embeds them."""

    name = "count"
    main_metric = "share"

    def __init__(
        self, *, note: str = "", to: str = "", fail: str = "", while_there: str = "", gate: bool = False, also: str = ""
    ) -> None:
        self.note, self.to, self.fail, self.while_there, self.gate, self.also = note, to, fail, while_there, gate, also

    def modalities(self, modality: str) -> tuple[str, ...]:
        return (modality, self.to) if self.to else (modality,)

    def run(self, binder: Any, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: Any = None) -> Any:
        mark(f"asked {self.note or self.fail}{seed} {binder.name}")
        while self.gate and not Path(os.environ["TOYS_GATE"]).exists():
            time.sleep(0.01)
        if self.while_there and Path(self.while_there).exists():
            raise BadInput(f"{self.while_there} is in\nthe way")
        if self.fail == "internal":
            raise ZeroDivisionError("not\nthis way")
        if self.fail == "exit":
            raise SystemExit(3)
        if self.fail == "none":
            return None
        if self.fail == "once" and self.work is not None and not (self.work / "half").exists():
            self.work.mkdir(parents=True)
            (self.work / "half").touch()
            raise BadInput("interrupted half-way")
        rows = binder.embed(modality, list(dataset.items))
        encoders = {modality: rows.encoder}
        if self.also:
            encoders[self.also] = binder.identity(self.also)
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders=encoders,
            seed=seed,
            n=len(rows),
            gallery_size=0,
            metrics={"share": float(np.float32(1 / (len(rows) + seed))), "sum": np.float64(rows.vectors.sum())},
            versions={"toys": "1.0"},  # to find those of all packages takes longer than all the rest
            details={"vectors": rows.vectors, "pair": (1, 2), "by number": {1: "one"}},
        )


def mark(line: str) -> None:
    """Append a line to the file of marks."""
    if "TOYS_MARKS" in os.environ:
        with Path(os.environ["TOYS_MARKS"]).open("a") as file:
            file.write(f"{line}\n")


@hookimpl
def register(registry: Registrar) -> None:
    registry.add(EncoderSpec(name="words", summary="s", modality="text", target="toys:Words"))
    for name in ("toy", "wordless", "broken"):
        registry.add(BindingSpec(name=name, summary="s", target=f"toys:{name}"))
    registry.add(DatasetSpec(name="notes", summary="s", target="toys:Notes"))
    registry.add(DatasetSpec(name="written", summary="s", target="toys:Written"))
    registry.add(TaskSpec(name="count", summary="s", target="toys:Count"))
