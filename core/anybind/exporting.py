"""What an encoder declares so that it can be exported: its network, and its preprocessing without the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from anybind.errors import PluginError, UnsupportedBackend
from anybind.part import check_options
from anybind.registry import find_part
from anybind.spec import EncoderSpec

if TYPE_CHECKING:
    import torch


class EncoderInput(ABC):
    """The preprocessing of an encoder without its weights, shared by the encoder in torch and the exported one.

    Attributes:
        reader_options, prompt_templates: as those of `Encoder`.
    """

    reader_options: Mapping[str, object] = MappingProxyType({})
    prompt_templates: tuple[str, ...] = ()

    @abstractmethod
    def preprocess(self, sample: Any) -> Any:
        """Convert a sample to an input of the network, deterministically. Called from several threads."""

    def collate(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """Collate preprocessed samples to arrays, (n, ...), by input of the graph; by default, one named `inputs`."""
        return {"inputs": np.stack([np.asarray(each) for each in inputs])}


def compute_shares(counts: Sequence[int]) -> np.ndarray:
    """Compute what each part contributes to the mean of its sample, as a matrix product makes these means.

    Args:
        counts: number of parts of each sample, at least 1.

    Returns:
        (samples, parts of all) float32; each row has the sum 1.
    """
    samples = np.repeat(np.arange(len(counts)), counts)
    return (samples == np.arange(len(counts))[:, None]).astype(np.float32) / np.asarray(counts, np.float32)[:, None]


@dataclass(frozen=True)
class ExportPlan:
    """What the export of an encoder needs.

    Attributes:
        module: maps the arrays of `EncoderInput.collate`, as positional tensors, to (n, d) features, not of norm 1.
        encoder: registered name of an encoder whose spec has an `input_target`.
        options: JSON-like options, from which that target creates the `EncoderInput`.
        axes: names of the dimensions of variable size by axis, for each input of the graph; the others are fixed.
        files: contents of the files that the `EncoderInput` reads, by name, such as a tokenizer.
    """

    module: torch.nn.Module
    encoder: str
    options: Mapping[str, object] = field(default_factory=dict)
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=lambda: {"inputs": {0: "n"}})
    files: Mapping[str, bytes] = field(default_factory=dict)

    def nest(self, encoder: str, name: str, **options: object) -> ExportPlan:
        """Return the plan of an encoder whose preprocessing ends in that of this plan, its option `name`."""
        inner = {"encoder": self.encoder, "options": dict(self.options)}
        return replace(self, encoder=encoder, options={name: inner, **options})


def create_input(encoder: str, options: Mapping[str, object], folder: str | Path) -> EncoderInput:
    """Create the preprocessing of an exported encoder.

    Args:
        encoder: registered name of the encoder.
        options: options of its `ExportPlan`.
        folder: folder with the plan's files.

    Raises:
        UnknownName: no such encoder is installed.
        UnsupportedBackend: its plugin cannot create the preprocessing without the weights.
        BadOption: the options are of another version of its plugin.
        MissingExtra: a package is missing.
        PluginError: the plugin returned something else.
    """
    part = find_part(EncoderSpec, encoder)
    if not part.spec.input_target:
        raise UnsupportedBackend(f"the encoder {encoder!r} of {part.distribution} cannot be exported")
    part = replace(part, spec=replace(part.spec, target=part.spec.input_target, extra=part.spec.input_extra))
    target = part.load()
    check_options(f"input of the encoder {encoder!r}", target, folder=folder, **options)
    with part.explain_missing_extra():
        encoder_input = target(folder=Path(folder), **options)
    if not isinstance(encoder_input, EncoderInput):
        raise PluginError(f"{part.spec.input_target}: expected an EncoderInput, got a {type(encoder_input).__name__}")
    return encoder_input


def create_nested_input(nested: Mapping[str, Any], folder: str | Path) -> EncoderInput:
    """Create the inner preprocessing of a plan of `ExportPlan.nest`; raises as `create_input`."""
    return create_input(str(nested.get("encoder")), nested.get("options") or {}, folder)
