"""What the cosine of a picture or recording and a text comes from, on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from anybind import Binder
from anybind.plugin import BadInput, BadOption, TorchEncoder, samples
from anybind_explain.attention import attention_relevance
from anybind_explain.convolution import convolution_relevance
from anybind_explain.geometry import Seen, seen_part
from anybind_explain.words import word_spans

ROLL_OUT = "gradient-weighted attention roll-out"
GRAD_CAM = "Grad-CAM"
SEEN = ("event", "image")
"""Modalities of which a person sees a frame that a map can lie over."""
SUPPORTED = "transformers that call torch's scaled_dot_product_attention, and convolutional networks"


@dataclass(frozen=True)
class WordWeight:
    """How relevant a word is.

    Attributes:
        word: as it was written, with its punctuation.
        weight: sum over its tokens, 0 or more.
        share: of the sum over all words; 0 where that is 0.
    """

    word: str
    weight: float
    share: float


@dataclass(frozen=True)
class Relevance:
    """What the cosine of a sample and a text comes from: a map and weights of the words.

    Attributes:
        score: cosine of the two embeddings in the common space.
        grid: (rows, columns) float64, 0 or more, over what the tower sees, from the upper left.
        seen: what that is of the frame.
        words: of the text, in order.
        methods: how the map (`map`) and the words' weights (`words`) were computed.
    """

    score: float
    grid: np.ndarray
    seen: Seen
    words: tuple[WordWeight, ...]
    methods: dict[str, str]


def explain_pair(
    binder: Binder, modality: str, sample: samples.ImageSample | samples.EventSample, text: str
) -> Relevance:
    """What the cosine of a sample and a text comes from.

    Weights, gradients and modes of the towers are as before afterwards.

    Args:
        binder: with encoders of `text` and of the sample's modality.
        of: `event` or `image`.
        sample: of that modality; checked.
        text: not blank.

    Raises:
        BadInput: a tower is of a make that cannot be explained.
        BadOption: the modality is none of the two, or an adapter passes no gradients.
        UnknownName: the binding lacks the modality, or words.
    """
    if modality not in SEEN:
        raise BadOption(f"maps lie over frames of {' or '.join(SEEN)}, and {modality} has none")
    towers = {each: _tower(binder, each) for each in (modality, "text")}
    batches = {
        each: tower.collate([tower.preprocess(given)])
        for (each, tower), given in zip(towers.items(), (sample, text), strict=True)
    }
    with _at_rest(*towers.values()):
        with torch.no_grad():
            vectors = {each: _vectors(binder, each, batch) for each, batch in batches.items()}
        grid, how = _map_of(binder, modality, towers[modality], batches[modality], vectors["text"])
        weights, text_how = _words_of(binder, towers["text"], batches["text"], vectors[modality], text)
    score = float((vectors[modality] @ vectors["text"].to(vectors[modality].device).T)[0, 0])
    return Relevance(score, grid, seen_part(towers[modality], sample), weights, {"map": how, "words": text_how})


def _tower(binder: Binder, modality: str) -> TorchEncoder:
    encoder = binder.encoder(modality)
    if not isinstance(encoder, TorchEncoder):
        raise _neither(binder, modality)
    return encoder


def _neither(binder: Binder, modality: str) -> BadInput:
    use = binder.binding.encoders[modality].name
    return BadInput(f"the encoder {use!r} of {modality} cannot be explained: maps are had of {SUPPORTED}")


def _vectors(binder: Binder, modality: str, batch: object) -> torch.Tensor:
    """Unit vectors of a batch in the common space, with gradients."""
    encoder = binder.encoder(modality)
    assert isinstance(encoder, TorchEncoder)
    vectors = functional.normalize(encoder.features(batch).float(), dim=1)
    for adapter in binder.route(modality):
        vectors = functional.normalize(adapter.map_tensor(vectors).float(), dim=1)
    return vectors


def _cosine(binder: Binder, modality: str, other: torch.Tensor) -> Callable[[object], torch.Tensor]:
    def score(batch: object) -> torch.Tensor:
        vectors = _vectors(binder, modality, batch)
        return vectors @ other[0].to(vectors.device)

    return score


def _map_of(
    binder: Binder, modality: str, tower: TorchEncoder, batch: object, text: torch.Tensor
) -> tuple[np.ndarray, str]:
    score_of = _cosine(binder, modality, text)
    if not isinstance(batch, torch.Tensor) or batch.ndim != 4:
        raise _neither(binder, modality)
    tokens = _by_attention(binder, modality, score_of, batch)
    if tokens is not None:
        before, rows, columns = patch_grid(len(tokens), *batch.shape[2:])
        return tokens[before:].reshape(rows, columns).cpu().numpy(), ROLL_OUT
    found = convolution_relevance(score_of, batch, tower.module)
    if found is None:
        raise _neither(binder, modality)
    cells, layer = found
    return cells.cpu().numpy(), f"{GRAD_CAM} at {layer}"


def _words_of(
    binder: Binder, tower: TorchEncoder, batch: object, other: torch.Tensor, text: str
) -> tuple[tuple[WordWeight, ...], str]:
    tokens = _by_attention(binder, "text", _cosine(binder, "text", other), batch)
    if tokens is None:
        raise _neither(binder, "text")
    spans = word_spans(tower.preprocess, text)
    weights = [float(tokens[first:last].sum()) for _, first, last in spans]
    full = sum(weights) or 1.0
    words = [WordWeight(word, weight, weight / full) for (word, _, _), weight in zip(spans, weights, strict=True)]
    return tuple(words), ROLL_OUT


def _by_attention(
    binder: Binder, modality: str, score_of: Callable[[object], torch.Tensor], batch: object
) -> torch.Tensor | None:
    try:
        return attention_relevance(score_of, batch)
    except BadInput as error:
        raise BadInput(
            f"the encoder {binder.binding.encoders[modality].name!r} of {modality} cannot be explained: {error}"
        ) from error


def patch_grid(tokens: int, height: int, width: int) -> tuple[int, int, int]:
    """How many tokens come before the patches of an input, and the patches' rows and columns; patches are square.

    Raises:
        BadInput: so many tokens, with a class token in front or without one, are no grid of square patches.
    """
    for before in (1, 0):
        rows = round(((tokens - before) * height / width) ** 0.5)
        if rows and (tokens - before) % rows == 0 and rows * width == (tokens - before) // rows * height:
            return before, rows, (tokens - before) // rows
    raise BadInput(f"{tokens} tokens are no grid of square patches over an input of {width}x{height}, so no map")


@contextmanager
def _at_rest(*towers: TorchEncoder) -> Iterator[None]:
    """Modules in the mode for use, and in the mode they had, part by part, afterwards."""
    modes = [(part, part.training) for tower in towers for part in tower.module.modules()]
    for tower in towers:
        tower.module.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training
