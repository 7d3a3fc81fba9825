"""`pack.json`: what a pack is, the base that it fits, and the size and SHA-256 of each of its other files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from anybind import Space
from anybind.plugin import BadInput, files, tables

FORMAT = 1
CARD, README, RECIPE, SAMPLES = "pack.json", "README.md", "recipe.json", "base.safetensors"
WEIGHTS: Mapping[str, str] = {"encoder": "encoder.safetensors", "adapter": "adapter.safetensors"}
"""File name of the weights, by the kind of part."""
FILE_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,60}\.(safetensors|json|md|toml)", re.ASCII)
MAX_FILES = 16
MAX_BYTES = 64 << 30
"""Largest size of all files together, 64 GiB."""
MAX_TEXT_BYTES = 4 << 20
"""Largest size of a file that is not safetensors."""
BINDING_NAME = re.compile(r"[\w.+-]{1,100}(:[\w@][\w./@:,=+-]{0,300})?", re.ASCII)
PATH_LIKE = re.compile(r"[/~.\\]|local-dir:|.*(\.\.|\\|://)", re.DOTALL)
MAX_LEVELS = 8
SHOWN_METRICS = 3


@dataclass(frozen=True)
class PackFile:
    """A file of a pack: its size in bytes and its SHA-256, 64 hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BasePart:
    """An encoder of the base.

    Attributes:
        encoder: its registered name.
        weights_hash: hash of its weights.
        samples: number of fixed samples whose embeddings the pack holds; 0 for a modality without any.
        repository, revision: origin of the weights, as its space names it (`Space.backbone`); empty if it names none.
        licence: licence of its weights.
    """

    encoder: str
    weights_hash: str
    samples: int = 0
    repository: str = ""
    revision: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Base:
    """A binding that the pack adds to.

    Attributes:
        binding: its name.
        encoders: its encoders by modality, without one that the pack replaces.
        adapters: identities of its adapters, in order.
    """

    binding: str
    encoders: Mapping[str, BasePart]
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackedPart:
    """The encoder or adapter of a pack.

    Attributes:
        kind: `encoder` or `adapter`.
        name: its registered name.
        space: space of its embeddings.
        identity: its identity.
        modality: modality of an encoder; empty for an adapter.
        options: its options but for `weights`, the pack's own file.
    """

    kind: Literal["encoder", "adapter"]
    name: str
    space: Space
    identity: str
    modality: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class PackCard:
    """The content of `pack.json`.

    Attributes:
        name: name of the pack.
        summary: one line.
        licence: SPDX name of the weights' licence, or a text.
        part: the encoder or adapter.
        space: name of the common space.
        bases: the bindings that it adds to; of several, the first one with a modality embeds it.
        metrics: measured scores by name.
        recipe: hash of the training recipe, which is in `recipe.json`; empty without one.
        data: hash of the training data; empty without one.
        files: every other file by name.
        format: version of this format.
    """

    name: str
    licence: str
    part: PackedPart
    space: str
    bases: tuple[Base, ...]
    summary: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    recipe: str = ""
    data: str = ""
    files: Mapping[str, PackFile] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        for where, name in (("licence", self.licence), ("name", self.name)):
            if not name.strip():
                raise BadInput(f"{where}: expected a text, got none")
        if not self.bases:
            raise BadInput("bases: expected at least one binding, got none")
        for base in self.bases:
            check_base_name(base.binding)
        check_options(self.part.options)
        check_file_sizes(self.files)

    @property
    def weights(self) -> str:
        """Name of the file of the weights."""
        return WEIGHTS[self.part.kind]

    def write(self, folder: Path) -> None:
        """Write the card into a folder."""
        (folder / CARD).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def describe(self) -> dict[str, str]:
        """Return the facts that `anybind bindings` shows, by name."""
        origins = {
            f"{part.repository}@{part.revision}" if part.revision else part.repository
            for base in self.bases
            for part in base.encoders.values()
            if part.repository
        }
        bases = ", ".join(base.binding for base in self.bases)
        part = f"{self.part.modality} encoder" if self.part.kind == "encoder" else "adapter"
        return {
            "pack": f"{self.name}: {part} {self.part.name!r}, {self.part.identity}",
            "base": f"{bases} ({', '.join(sorted(origins))})" if origins else bases,
            "licence": self.licence,
            "metrics": _list_metrics(self.metrics),
            "recipe": self.recipe or "none given",
        }


def check_base_name(name: str) -> None:
    """Raise `BadInput` unless a name of a binding means the same on every machine: no path, no file."""
    argument = name.partition(":")[2]
    if not BINDING_NAME.fullmatch(name) or name.endswith(".toml") or (argument and PATH_LIKE.match(argument)):
        raise BadInput(f"base: expected the name of a published binding, such as clip-vit-b-32, got {name!r:.100}")


def check_options(value: object, where: str = "options", level: int = 0) -> None:
    """Raise `BadInput` for options that name a path or ask for code of others."""
    if level > MAX_LEVELS:
        raise BadInput(f"{where}: expected at most {MAX_LEVELS} nested levels")
    if isinstance(value, Mapping):
        for key, each in value.items():
            if "remote_code" in key:
                raise BadInput(f"{where}.{key}: a pack runs no code of others")
            check_options(each, f"{where}.{key}", level + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            check_options(each, where, level + 1)
    elif isinstance(value, str) and PATH_LIKE.match(value):
        raise BadInput(f"{where}: a pack holds no paths, got {value!r:.100}")


def check_file_sizes(declared: Mapping[str, PackFile]) -> None:
    """Raise `BadInput` for a file of another kind or name, or too many or too large ones."""
    for name, file in declared.items():
        if not FILE_NAME.fullmatch(name) or name == CARD:
            raise BadInput(
                f"files: expected names such as {README}, of safetensors, json, md or toml, got {name!r:.100}"
            )
        largest = MAX_BYTES if name.endswith(".safetensors") else MAX_TEXT_BYTES
        if not 0 <= file.size <= largest or not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            raise BadInput(f"files: {name}: expected at most {largest} bytes and a SHA-256, got {file.size} bytes")
    if len(declared) > MAX_FILES or sum(file.size for file in declared.values()) > MAX_BYTES:
        raise BadInput(f"files: expected at most {MAX_FILES} files and {MAX_BYTES} bytes")


def read_pack(folder: Path) -> PackCard:
    """Read the card of a pack; its files are not checked.

    Raises:
        BadInput: it is missing, damaged, of another version of the format, or names files, paths or options that a pack
            may not have.
    """
    path = folder / CARD
    if not path.is_file():
        raise BadInput(f"{folder}: not a pack, {CARD} is missing; make one: anybind pack RUN -o DIR --licence NAME")
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise BadInput(f"{path}: expected at most {MAX_TEXT_BYTES} bytes")
    table = tables.read_json(path)
    version = table.get("format") if isinstance(table, Mapping) else None
    if version != FORMAT:
        raise BadInput(f"{path}: expected format {FORMAT}, got {version!r}; use the version of anybind that wrote it")
    card = tables.parse_table(PackCard, table, str(path), BadInput)
    missing = {card.weights, README, SAMPLES} - card.files.keys()
    if missing:
        raise BadInput(f"{path}: files: expected {', '.join(sorted(missing))} among them")
    return card


def describe_files(folder: Path) -> dict[str, PackFile]:
    """Return size and SHA-256 of each file in a folder but the card, by name."""
    paths = [path for path in sorted(folder.iterdir()) if path.name != CARD]
    return {path.name: PackFile(path.stat().st_size, files.compute_sha256(path)) for path in paths}


def check_files(folder: Path, card: PackCard, root: Path | None = None) -> None:
    """Check the files of a pack; an unchanged file is read once in a process.

    Args:
        folder: its folder.
        card: its card.
        root: folder that links may lead into, as those of the hub's cache. [default: links are refused]

    Raises:
        BadInput: a file is missing, or is a link.
        WeightsMismatch: a file is truncated or changed.
    """
    for name in (CARD, *card.files):
        path = folder / name
        if path.is_symlink() and (root is None or not path.resolve().is_relative_to(root.resolve())):
            raise BadInput(f"{path}: expected a file, got a link; copy the file itself")
    for name, file in card.files.items():
        files.check_sha256(folder / name, file.sha256, "remove it, and get the pack again")


def _list_metrics(metrics: Mapping[str, float]) -> str:
    """Return the first metrics on one line; the model card has all."""
    first = [f"{name} {value:.4g}" for name, value in list(metrics.items())[:SHOWN_METRICS]]
    rest = len(metrics) - len(first)
    return ", ".join([*first, *([f"{rest} more"] if rest else [])]) or "none given"
