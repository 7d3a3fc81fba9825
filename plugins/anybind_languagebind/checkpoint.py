"""A published LanguageBind checkpoint: its configuration, and the tensors of one tower, LoRA merged."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from anybind import Space
from anybind.plugin import BadInput, errors, hub, tensors
from anybind_languagebind.lora import merge_lora

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What the tensors are called in a folder or repository; the one that cannot hold code comes first."""
VISION = ("vision_model.", "visual_projection.")
TEXT = ("text_model.", "text_projection.")
SCALE = "logit_scale"
TABLES = ("vision_model.embeddings.position_ids", "text_model.embeddings.position_ids")
"""Counts from 0 that old versions of transformers saved among the weights."""
SHARED = ("text_projection.weight", "text_model.final_layer_norm.weight", "text_model.final_layer_norm.bias")
"""What the frozen text tower of every checkpoint ends in."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, of which the tensors of one tower were read.

    Attributes:
        path: the weight file.
        config: what `config.json` says.
        tower: tensors of the tower under the names of transformers' CLIP, float32, LoRA merged.
        space: the common space. LanguageBind's modalities were all bound to one frozen text tower, of which every
            checkpoint carries a copy: those whose copies end in the same tensors share a space.
        logit_scale: of the softmax over cosines that the tower was trained with.
    """

    path: Path
    config: Mapping[str, Any]
    tower: Mapping[str, torch.Tensor]
    space: Space
    logit_scale: float

    def section(self, name: str) -> Section:
        """The table `vision_config` or `text_config`; raises `BadInput` where there is none."""
        table = self.config.get(name)
        if not isinstance(table, Mapping):
            raise BadInput(f"{self.path.parent / 'config.json'} lacks the table {name}: it is of no LanguageBind model")
        return Section(self.path.parent / "config.json", name, table)


@dataclass(frozen=True)
class Section:
    """A table of `config.json`, whose values are checked as they are asked for."""

    path: Path
    name: str
    values: Mapping[str, Any]

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number above 0; raises `BadInput` where it is anything else, or missing without a default."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
            raise BadInput(f"{self.path}: {self.name}.{key} must be a whole number above 0, got {value!r}")
        return int(value)

    def side(self, key: str) -> int:
        """A side in pixels, which some checkpoints give as height and width; raises `BadInput` where these differ."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            return Section(self.path, self.name, {key: value[0]}).count(key)
        return self.count(key)

    def number(self, key: str, default: float | None = None, *, positive: bool = False) -> float:
        """A finite number, above 0 where told; raises `BadInput` as `count`."""
        value = self._get(key, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
        if not fits or (positive and value <= 0):
            kind = "a number above 0" if positive else "a number"
            raise BadInput(f"{self.path}: {self.name}.{key} must be {kind}, got {value!r}")
        return float(value)

    def _get(self, key: str, default: float | None) -> Any:
        value = self.values.get(key, default)
        if value is None:
            raise BadInput(f"{self.path}: {self.name} lacks {key}; take the file that came with the weights")
        return value


def open_checkpoint(model: str, prefixes: tuple[str, ...], revision: str | None = None) -> Checkpoint:
    """Read one tower of a checkpoint, and of the rest only what says which space it is for.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
        prefixes: of the tower's tensors: `VISION` or `TEXT`.
        revision: of the repository.

    Raises:
        BadInput: files are missing, cannot be fetched, or are damaged.
        BadOption: `model` is neither a folder nor the name of a repository.
        WeightsMismatch: the weights are of another model; the message names the first few tensors.
    """
    config_path = hub.weights_file(model, file="config.json", revision=revision)
    config = _read_config(config_path)
    path = hub.weights_file(model, file=WEIGHTS, revision=revision)
    with _tensors(path) as stored:
        _check_names(path, stored)
        # Copies of float32, so that nothing of the file stays open and half precision is computed in full.
        tower = {
            name: stored[name].to(torch.float32, copy=True)
            for name in stored
            if name.startswith(prefixes) and name not in TABLES
        }
        # In half precision, so that copies of one tower that were saved in whole and in half are one space.
        shared = {name: stored[name].to(torch.float16, copy=True) for name in SHARED}
        scale = float(stored[SCALE].to(torch.float32).exp())
    lora = config.get("vision_config")
    tower = merge_lora(path, tower, lora if isinstance(lora, Mapping) else {})
    space = Space("languagebind", shared[SHARED[0]].shape[0], f"text-tower:{tensors.state_hash(shared)}")
    return Checkpoint(path, config, tower, space, scale)


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON: {error}; download it again") from error
    if not isinstance(config, Mapping):
        raise BadInput(f"{path} is no configuration of a model: it holds a {type(config).__name__}")
    return config


class _Lazy(Mapping[str, torch.Tensor]):
    """The tensors of a safetensors file, each read when it is asked for."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.names: list[str] = list(file.keys())

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names  # what Mapping does would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@contextmanager
def _tensors(path: Path) -> Iterator[Mapping[str, torch.Tensor]]:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                yield _Lazy(file)
        else:
            yield _unpacked(path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path} is no readable file of weights: {error}; download it again") from error


def _unpacked(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        # Files of torch's present kind are mapped into memory, so that only the tower asked for is read.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch and its zip reader each raise their own on a bad file
        reason = " ".join(str(error).split())[:160]
        raise BadInput(f"{path} is no readable file of weights: {reason}; download it again") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise errors.WeightsMismatch(
            f"{path} holds no tensors by name; take the file that the model was published with"
        )
    return state


def _check_names(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """The tower's own names are compared with its module; here, that there is the rest and nothing else."""
    lacking = [name for name in (*SHARED, SCALE) if name not in tensors]
    if lacking:
        raise errors.WeightsMismatch(f"{path} is a weight file of another model: it lacks {', '.join(lacking)}")
    foreign = [name for name in tensors if not name.startswith((*VISION, *TEXT)) and name != SCALE]
    if foreign:
        named = ", ".join(sorted(foreign)[:3])
        raise errors.WeightsMismatch(
            f"{path} is a weight file of another model: it has {len(foreign)} too many: {named}"
        )
    if tensors[SCALE].numel() != 1 or tensors[SHARED[0]].ndim != 2:
        raise errors.WeightsMismatch(
            f"{path} is a weight file of another model: {SCALE} or {SHARED[0]} has another shape"
        )
