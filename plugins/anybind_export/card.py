"""`card.json` of a folder of exported encoders: what they are, how they were measured, and hashes of all files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from anybind import Space
from anybind.plugin import BadInput, files, tables

FORMAT = 1
CARD = "card.json"
Runtime = Literal["onnx", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]
GRAPHS: Mapping[str, str] = {"onnx": "model.onnx", "openvino": "model.xml"}
"""File name of a graph by backend."""


@dataclass(frozen=True)
class Gate:
    """Differences of an exported encoder from its source, measured when it was exported.

    Attributes:
        samples: number of samples.
        synthetic: whether they were generated, and not the user's.
        max_difference: largest absolute difference of an element of two unit vectors.
        min_cosine, mean_cosine: cosine similarity with the source's embedding, over samples.
        answers_unchanged: fraction of zero-shot answers that are the source's; None if they were not compared.
        missed: the limit that was missed, with the figures; empty if the gate passed.
    """

    samples: int
    synthetic: bool
    max_difference: float
    min_cosine: float
    mean_cosine: float
    answers_unchanged: float | None = None
    missed: str = ""


@dataclass(frozen=True)
class Speed:
    """Milliseconds for a batch, of the network alone: medians of interleaved runs.

    Attributes:
        batch_size: number of samples in the batch.
        eager_ms: of the source in torch.
        exported_ms: of the exported encoder.
    """

    batch_size: int
    eager_ms: float
    exported_ms: float


@dataclass(frozen=True)
class ExportedPart:
    """One exported encoder.

    Attributes:
        encoder: registered name of the source.
        input: registered name of the encoder whose preprocessing it has.
        options: options of that preprocessing.
        space: space of the embeddings.
        preprocessing: everything that shapes the input, as the source describes it.
        weights_hash: hash of the source's weights.
        source: identity of the source, with that of adapters that were folded in.
        identity: identity of the embeddings: the source's if the export is lossless.
        licence: licence of the weights.
        recipe: how weights and activations were converted to int8; empty for others.
        gate: measured accuracy.
        speed: measured speed, by batch size.
        files: SHA-256 of each file, by name in the folder of the modality.
        logit_scale: factor of the softmax over similarities.
    """

    encoder: str
    input: str
    options: Mapping[str, object]
    space: Space
    preprocessing: Mapping[str, object]
    weights_hash: str
    source: str
    identity: str
    licence: str
    recipe: str
    gate: Gate
    speed: tuple[Speed, ...]
    files: Mapping[str, str]
    logit_scale: float | None = None


@dataclass(frozen=True)
class ExportCard:
    """The content of `card.json`.

    Attributes:
        binding: name of the source binding, or encoder.
        space: name of the common space.
        backend, precision: of all encoders.
        processor: processor of the measured speeds, with its instruction sets.
        threads: number of threads of the measured speeds.
        encoders: the encoders by modality.
        adapters: name and options of each adapter that was not folded in; files are relative to the folder.
        format: version of this format.
    """

    binding: str
    space: str
    backend: Runtime
    precision: Precision
    processor: str
    threads: int
    encoders: Mapping[str, ExportedPart]
    adapters: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write the card into a folder."""
        (folder / CARD).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(folder: Path) -> ExportCard:
    """Read the card of a folder of exported encoders.

    Raises:
        BadInput: it is missing, damaged, or of another version of the format.
    """
    path = folder / CARD
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder of exported encoders; make one: anybind export BINDING -o {folder}")
    table = tables.read_json(path)
    version = table.get("format") if isinstance(table, Mapping) else None
    if version != FORMAT:
        raise BadInput(f"{path}: expected format {FORMAT}, got {version!r}; export it again with this version")
    return tables.parse_table(ExportCard, table, str(path), BadInput)


def get_graph_path(folder: Path, modality: str, backend: str) -> Path:
    """Return the path of the graph of a modality."""
    return folder / modality / GRAPHS[backend]


def hash_files(folder: Path) -> dict[str, str]:
    """Hash the files in a folder: SHA-256 by name."""
    return {path.name: files.compute_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def check_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Check the files of one exported encoder; an unchanged file is read once in a process.

    Raises:
        BadInput: a file is missing, truncated or changed.
    """
    for name, digest in expected.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise BadInput(f"{folder.parent / CARD}: expected the name of a file in {folder.name}, got {name!r}")
        files.check_sha256(folder / name, digest, "export it again")
