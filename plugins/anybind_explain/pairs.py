"""Relevance of an image's or recording's regions, and of a text's words, for their cosine similarity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from anybind import Binder
from anybind.plugin import BadInput, BadOption, TorchEncoder, samples
from anybind_explain.attention import ALL, FIRST_BLOCKS, compute_attention_relevance
from anybind_explain.convolution import compute_convolution_relevance
from anybind_explain.geometry import InputRegion, find_input_region
from anybind_explain.words import find_word_spans

ROLLOUT = "gradient-weighted attention rollout"
GRAD_CAM = "Grad-CAM"
MODALITIES = ("event", "image")
"""Modalities with a frame that a map can be drawn over."""
SUPPORTED = "transformers that call torch's scaled_dot_product_attention, and convolutional networks"
FLAT_AREA = 1 / 3
"""A map is flat if its most relevant cells need at least this fraction of its area to hold half of the relevance.

The fraction is 1/2 for a uniform map. Measured with `mini` and the ten labels of `anybind demo`: 0.06 to 0.25 for its
ten images (100 maps), 0.08 to 0.19 for their simulated recordings (100 maps).
"""


@dataclass(frozen=True)
class WordWeight:
    """The relevance of a word.

    Attributes:
        word: the word with its punctuation.
        weight: sum over its tokens, 0 or more.
        fraction: weight divided by the sum over all words; 0 if that is 0.
    """

    word: str
    weight: float
    fraction: float


@dataclass(frozen=True)
class Relevance:
    """Relevance for the cosine similarity of a sample and a text: a map, and weights of the words.

    Attributes:
        score: cosine similarity of the two embeddings in the common space.
        grid: (rows, columns) float64, 0 or more, over the encoder's input region, from the upper left.
        region: the input region, as fractions of the frame.
        words: words of the text, in order.
        methods: methods of the map (`map`) and of the words' weights (`words`).
        scale: factor of the cosine similarity whose gradient is taken; rollout is not linear in it.
        first_block: block that rollout starts at, `all` (the first) or `last`.
    """

    score: float
    grid: np.ndarray
    region: InputRegion
    words: tuple[WordWeight, ...]
    methods: dict[str, str]
    scale: float
    first_block: str

    @property
    def half_area(self) -> float:
        """The smallest fraction of the map's cells that holds half of its relevance; 1/2 for uniform and empty maps."""
        cumulative = np.cumsum(np.sort(self.grid, axis=None)[::-1])
        if not cumulative[-1]:
            return 0.5
        return (int(np.searchsorted(cumulative, (0.5 - 1e-9) * cumulative[-1])) + 1) / self.grid.size

    @property
    def is_flat(self) -> bool:
        """Whether no region stands out; see `FLAT_AREA`."""
        return self.half_area >= FLAT_AREA

    def describe_map(self) -> str:
        """Describe resolution and contrast of the map in one line."""
        rows, columns = self.grid.shape
        size = f"map of {rows} x {columns} cells"
        if not self.grid.any():
            return f"{size}, empty: no region contributes to the similarity"
        contrast = f"half of the relevance lies in {100 * self.half_area:.0f} % of its area"
        return f"{size}, flat: {contrast}, no region stands out" if self.is_flat else f"{size}: {contrast}"


def explain_pair(
    binder: Binder,
    modality: str,
    sample: samples.ImageSample | samples.EventSample,
    text: str,
    *,
    scale: float | None = None,
    first_block: str = ALL,
) -> Relevance:
    """Explain the cosine similarity of a sample and a text.

    Weights, gradients and training modes of the encoders are restored afterwards.

    Args:
        binder: with encoders of `text` and of the sample's modality.
        modality: `event` or `image`.
        sample: a checked sample of that modality.
        text: not blank.
        scale: factor of the cosine similarity whose gradient is taken, above 0. [default: the encoder's logit scale,
            or 1 if it has none]
        first_block: block that rollout starts at: `all` (the first) or `last`.

    Raises:
        BadInput: an encoder's architecture is not supported.
        BadOption: another modality, scale or first block, or an adapter without gradients.
        UnknownName: the binding has no encoder for the modality or for text.
    """
    if modality not in MODALITIES:
        raise BadOption(f"modality: expected {' or '.join(MODALITIES)}, got {modality}, which has no frames")
    encoders = {name: _find_torch_encoder(binder, name) for name in (modality, "text")}
    scale = check_options(scale, first_block) or encoders[modality].logit_scale or 1.0
    batches = {
        name: encoder.collate([encoder.preprocess(value)])
        for (name, encoder), value in zip(encoders.items(), (sample, text), strict=True)
    }
    with _in_eval_mode(*encoders.values()):
        with torch.no_grad():
            vectors = {name: _embed(binder, name, batch) for name, batch in batches.items()}
        grid, method = _compute_map(
            binder, modality, encoders[modality], batches[modality], vectors["text"] * scale, first_block
        )
        weights, text_method = _compute_word_weights(
            binder, encoders["text"], batches["text"], vectors[modality] * scale, first_block, text
        )
    score = float((vectors[modality] @ vectors["text"].to(vectors[modality].device).T)[0, 0])
    region = find_input_region(encoders[modality], sample)
    return Relevance(score, grid, region, weights, {"map": method, "words": text_method}, scale, first_block)


def check_options(scale: float | None, first_block: str) -> float | None:
    """Return the scale; raise `BadOption` unless it is None or finite and above 0, and the first block is known."""
    if scale is not None and not 0 < scale < math.inf:
        raise BadOption(f"scale: expected a finite number above 0, got {scale}")
    if first_block not in FIRST_BLOCKS:
        raise BadOption(f"first_block: expected {' or '.join(FIRST_BLOCKS)}, got {first_block!r}")
    return scale


def _find_torch_encoder(binder: Binder, modality: str) -> TorchEncoder:
    encoder = binder.encoder(modality, "torch")
    if not isinstance(encoder, TorchEncoder):
        raise _make_unsupported_error(binder, modality)
    return encoder


def _make_unsupported_error(binder: Binder, modality: str) -> BadInput:
    name = binder.binding.encoders[modality].name
    return BadInput(f"the {modality} encoder {name!r} cannot be explained; supported: {SUPPORTED}")


def _embed(binder: Binder, modality: str, batch: object) -> torch.Tensor:
    """Embed a batch in the common space, with gradients."""
    encoder = binder.encoder(modality, "torch")
    assert isinstance(encoder, TorchEncoder)
    vectors = functional.normalize(encoder.features(batch).float(), dim=1)
    for adapter in binder.route(modality):
        vectors = functional.normalize(adapter.map_tensor(vectors).float(), dim=1)
    return vectors


def _make_score_function(binder: Binder, modality: str, other: torch.Tensor) -> Callable[[object], torch.Tensor]:
    def compute_scores(batch: object) -> torch.Tensor:
        vectors = _embed(binder, modality, batch)
        return vectors @ other[0].to(vectors.device)

    return compute_scores


def _compute_map(
    binder: Binder, modality: str, encoder: TorchEncoder, batch: object, text: torch.Tensor, first_block: str
) -> tuple[np.ndarray, str]:
    """Compute the map of a sample, the mean of those of its windows if its encoder has several."""
    inputs = batch.get("inputs") if isinstance(batch, dict) else batch
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 4:
        raise _make_unsupported_error(binder, modality)
    maps = [_compute_input_map(binder, modality, encoder, each, text, first_block) for each in inputs.split(1)]
    return np.mean([grid for grid, _ in maps], axis=0), maps[0][1]


def _compute_input_map(
    binder: Binder, modality: str, encoder: TorchEncoder, batch: torch.Tensor, text: torch.Tensor, first_block: str
) -> tuple[np.ndarray, str]:
    compute_scores = _make_score_function(binder, modality, text)
    tokens = _compute_token_relevance(binder, modality, compute_scores, batch, first_block)
    if tokens is not None:
        n_prefix, rows, columns = find_patch_grid(len(tokens), *batch.shape[2:])
        return tokens[n_prefix:].reshape(rows, columns).cpu().numpy(), ROLLOUT
    convolution_map = compute_convolution_relevance(compute_scores, batch, encoder.module)
    if convolution_map is None:
        raise _make_unsupported_error(binder, modality)
    cells, layer = convolution_map
    return cells.cpu().numpy(), f"{GRAD_CAM} at {layer}"


def _compute_word_weights(
    binder: Binder, encoder: TorchEncoder, batch: object, other: torch.Tensor, first_block: str, text: str
) -> tuple[tuple[WordWeight, ...], str]:
    tokens = _compute_token_relevance(binder, "text", _make_score_function(binder, "text", other), batch, first_block)
    if tokens is None:
        raise _make_unsupported_error(binder, "text")
    spans = find_word_spans(encoder.preprocess, text)
    weights = [float(tokens[first:last].sum()) for _, first, last in spans]
    total = sum(weights) or 1.0
    words = [WordWeight(word, weight, weight / total) for (word, _, _), weight in zip(spans, weights, strict=True)]
    return tuple(words), ROLLOUT


def _compute_token_relevance(
    binder: Binder, modality: str, compute_scores: Callable[[object], torch.Tensor], batch: object, first_block: str
) -> torch.Tensor | None:
    try:
        return compute_attention_relevance(compute_scores, batch, first_block)
    except BadInput as error:
        raise BadInput(
            f"the {modality} encoder {binder.binding.encoders[modality].name!r} cannot be explained: {error}"
        ) from error


def find_patch_grid(tokens: int, height: int, width: int) -> tuple[int, int, int]:
    """Return the number of tokens before the patches of an input, and the rows and columns of square patches.

    Raises:
        BadInput: the number of tokens, with or without a class token, does not match a grid of square patches.
    """
    for n_prefix in (1, 0):
        rows = round(((tokens - n_prefix) * height / width) ** 0.5)
        if rows and (tokens - n_prefix) % rows == 0 and rows * width == (tokens - n_prefix) // rows * height:
            return n_prefix, rows, (tokens - n_prefix) // rows
    raise BadInput(f"expected a grid of square patches over an input of {width}x{height}, got {tokens} tokens")


@contextmanager
def _in_eval_mode(*encoders: TorchEncoder) -> Iterator[None]:
    """Set modules to evaluation mode, and restore the mode of every submodule afterwards."""
    modes = [(module, module.training) for encoder in encoders for module in encoder.module.modules()]
    for encoder in encoders:
        encoder.module.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
