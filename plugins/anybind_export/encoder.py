"""`ExportedEncoder`: an encoder of a folder of exported encoders, with the preprocessing of its source."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anybind import AnybindWarning, Space
from anybind.plugin import BadOption, errors, export
from anybind_export.card import check_files, get_graph_path, read_card


class GraphEncoder(export.OnnxEncoder):
    """An encoder on a graph with weights, and a registered preprocessing.

    Attributes:
        input: the preprocessing.
        single: encode samples one by one: the graph's rounding depends on the whole batch.
    """

    def __init__(
        self, graph: Path, input: export.EncoderInput, *, modality: str, space: Space, single: bool, **options: Any
    ) -> None:
        """Load a graph; see `OnnxEncoder` for the options."""
        super().__init__(graph, {}, modality=modality, space=space, **options)
        self.input, self.single = input, single
        self.reader_options, self.prompt_templates = input.reader_options, input.prompt_templates

    def preprocess(self, sample: object) -> object:
        """Preprocess a sample as the source does."""
        return self.input.preprocess(sample)

    def collate(self, inputs: Sequence[object]) -> dict[str, np.ndarray]:
        return self.input.collate(inputs)

    def encode_raw(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encode a batch of preprocessed samples to (n, d) float32 vectors, not of norm 1."""
        if self.single:
            return np.concatenate([super(GraphEncoder, self).encode_raw([each]) for each in inputs])
        if isinstance(self.input, export.TextInput) and not self.input.fixed:
            return export.encode_by_length(inputs, super().encode_raw)
        return super().encode_raw(inputs)


class ExportedEncoder(GraphEncoder):
    """An exported encoder, with the preprocessing of its source.

    Attributes:
        card: its card.
    """

    def __init__(self, *, folder: str | os.PathLike[str], modality: str, runtime: str = "") -> None:
        """Load an exported encoder.

        Args:
            folder: a folder of `export`.
            modality: one of its modalities.
            runtime: the backend it was exported for. [default: that one]

        Raises:
            BadInput: the card or the graph is missing or damaged, or of another version of the format.
            BadOption: the folder has no such modality.
            UnsupportedBackend: it was exported for another backend.
            WeightsMismatch: a file is truncated or changed.
            MissingExtra: the backend, or a package of the preprocessing, is not installed.
        """
        folder = Path(folder)
        card = read_card(folder)
        if modality not in card.encoders:
            raise BadOption(f"{folder}: has {', '.join(card.encoders)}, got the modality {modality!r}")
        if runtime not in ("", card.backend):
            raise errors.UnsupportedBackend(
                f"{folder}: exported for the backend {card.backend}, got {runtime}; export it with --backend {runtime}"
            )
        self.card = part = card.encoders[modality]
        check_files(folder / modality, part.files)
        super().__init__(
            get_graph_path(folder, modality, card.backend),
            export.create_input(part.input, part.options, folder / modality),
            modality=modality,
            space=part.space,
            single=part.recipe == "dynamic",
            preprocessing=part.preprocessing,
            logit_scale=part.logit_scale,
            runtime=card.backend,
            weights_hash=part.weights_hash,
        )
        if part.gate.missed:
            warnings.warn(f"{folder}: exported with --force: {modality}: {part.gate.missed}", AnybindWarning, 2)

    @property
    def identity(self) -> str:
        """The source's identity if the export is lossless; else one of its own."""
        return self.card.identity
