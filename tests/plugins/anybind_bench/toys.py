"""A plugin of small parts without torch: text datasets, a task that appends marks, bindings of hash encoders.

Every evaluation appends a line to the file $TOYS_MARKS; a task with `gate` waits until the file $TOYS_GATE exists.
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


class HashEncoder(Encoder):
    """An encoder whose embeddings are drawn by a hash of the text."""

    space = SPACE

    def __init__(self, *, modality: str = "text", salt: str = "", broken: bool = False) -> None:
        if broken:
            raise BadInput("the weights are missing")
        self.modality, self.salt = modality, salt
        append_mark(f"encoder {modality}{salt}")

    @property
    def weights_hash(self) -> str:
        return hashlib.sha256(self.salt.encode()).hexdigest()[:12]

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        return {"toy": 1}

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(f"{self.salt}{each}".encode()).digest()[:4], "big") for each in inputs]
        return normalize(np.stack([np.random.default_rng(seed).standard_normal(SPACE.dim) for seed in seeds]))


def make_toy_binding(argument: str) -> Binding:
    """Make the binding `toy` or `toy:SALT`."""
    return Binding(f"toy{argument}", {"text": Binding.configure("hash", salt=argument)})


def make_textless_binding(argument: str) -> Binding:
    """Make a binding without a text encoder."""
    return Binding("textless", {"image": Binding.configure("hash", modality="image")})


def make_broken_binding(argument: str) -> Binding:
    """Make a binding whose encoder cannot be loaded."""
    return Binding("broken", {"text": Binding.configure("hash", broken=True)})


class NotesDataset(Dataset):
    """The lines of `notes.txt`."""

    name = "notes"
    published = "https://example.org/notes"

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return ["notes.txt"]

    def scan(self, splits: Sequence[str]) -> Iterator[Item]:
        for number, line in enumerate((self.root / "notes.txt").read_text().splitlines()):
            yield Item(f"{number}", line)


class GeneratedDataset(Dataset):
    """A dataset that writes its only text to the folder."""

    name = "generated"
    takes_limit = False

    def __init__(self, folder: Path, *, modalities: Any = None) -> None:
        append_mark(f"generated in {'an empty' if not any(folder.iterdir()) else 'a full'} folder")
        (folder / "text.txt").write_text("some text")
        self.folder = folder

    @property
    def items(self) -> Sequence[Item]:
        return [Item("0", (self.folder / "text.txt").read_text())]

    @property
    def classes(self) -> Sequence[str]:
        return []


class CountTask(Task):
    """A task that embeds and counts samples."""

    name = "count"
    main_metric = "fraction"

    def __init__(
        self,
        *,
        note: str = "",
        to: str = "",
        fail: str = "",
        while_exists: str = "",
        gate: bool = False,
        also: str = "",
    ) -> None:
        self.note, self.to, self.fail, self.while_exists, self.gate, self.also = (
            note,
            to,
            fail,
            while_exists,
            gate,
            also,
        )

    def modalities(self, modality: str) -> tuple[str, ...]:
        return (modality, self.to) if self.to else (modality,)

    def run(self, binder: Any, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: Any = None) -> Any:
        append_mark(f"evaluated {self.note or self.fail}{seed} {binder.name}")
        while self.gate and not Path(os.environ["TOYS_GATE"]).exists():
            time.sleep(0.01)
        if self.while_exists and Path(self.while_exists).exists():
            raise BadInput(f"{self.while_exists} is in\nthe way")
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
            metrics={"fraction": float(np.float32(1 / (len(rows) + seed))), "sum": np.float64(rows.vectors.sum())},
            versions={"toys": "1.0"},  # finding those of all packages is slow
            details={"vectors": rows.vectors, "pair": (1, 2), "by number": {1: "one"}},
        )


def append_mark(line: str) -> None:
    """Append a line to the file of marks."""
    if "TOYS_MARKS" in os.environ:
        with Path(os.environ["TOYS_MARKS"]).open("a") as file:
            file.write(f"{line}\n")


@hookimpl
def register(registry: Registrar) -> None:
    registry.add(EncoderSpec(name="hash", summary="s", modality="text", target="toys:HashEncoder"))
    for name, target in (
        ("toy", "make_toy_binding"),
        ("textless", "make_textless_binding"),
        ("broken", "make_broken_binding"),
    ):
        registry.add(BindingSpec(name=name, summary="s", target=f"toys:{target}"))
    registry.add(DatasetSpec(name="notes", summary="s", target="toys:NotesDataset"))
    registry.add(DatasetSpec(name="generated", summary="s", target="toys:GeneratedDataset"))
    registry.add(TaskSpec(name="count", summary="s", target="toys:CountTask"))
