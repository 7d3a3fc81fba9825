"""What every encoder is held to, and what one on torch is held to besides."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from anybind.embeddings import UNIT_TOLERANCE
from anybind.encoder import Encoder
from anybind.errors import UnknownName
from anybind.modality import Modality, find_modality
from anybind.space import Space
from anybind.spec import Spec
from anybind.tables import settings_hash
from anybind.testing.rules import (
    NotChecked,
    Rules,
    require,
    require_close,
    require_hash,
    require_json_like,
    require_refusal,
    same,
    short,
    told,
)

SAME_TOLERANCE = 1e-6
BATCH_TOLERANCE = 1e-5
DEVICE_TOLERANCE = 2e-3
"""Of vectors by another device: its matrix products may be of a lower precision."""

ENCODER_RULES = Rules()


@dataclass
class EncoderCase:
    """An encoder and samples of its modality; those in `wrong` it must refuse."""

    encoder: Encoder
    samples: Sequence[Any]
    wrong: Sequence[Any] = ()
    spec: Spec | None = None

    def encode(self, samples: Sequence[Any]) -> Any:
        return self.encoder.encode([self.encoder.preprocess(sample) for sample in samples])

    @functools.cached_property
    def first(self) -> Any:
        """What it gives for the samples in one batch."""
        return self.encode(self.samples)

    @property
    def vectors(self) -> np.ndarray:
        """As `first`, for rules that need two dimensions; raises `NotChecked` where it does not give them."""
        try:
            vectors = self.first
        except Exception as error:
            raise NotChecked(f"it does not embed its samples ({told(error)})") from error
        if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) != len(self.samples):
            raise NotChecked("it gives no array of one row a sample")
        return vectors

    @functools.cached_property
    def again(self) -> np.ndarray:
        return self.encode(self.samples)

    def steady(self) -> np.ndarray:
        """`vectors`, where they are the same each time; raises `NotChecked` where they are not."""
        vectors = self.vectors
        if not np.allclose(self.again, vectors, rtol=0, atol=SAME_TOLERANCE, equal_nan=True):
            raise NotChecked("it is not deterministic, so nothing can be compared")
        return vectors

    def require_settings(self) -> str:
        """Hash of the preprocessing; raises `NotChecked` where it is not JSON-like and has none."""
        try:
            return settings_hash(dict(self.encoder.preprocessing))
        except (TypeError, ValueError) as error:
            raise NotChecked("the preprocessing is not JSON-like") from error

    def tower(self) -> Any:
        # A tower's module has imported this one; importing it here would load torch for every encoder.
        loaded = sys.modules.get("anybind.tower")
        if loaded is None or not isinstance(self.encoder, loaded.Tower):
            raise NotChecked("it is no anybind.Tower")
        return self.encoder


_rule = ENCODER_RULES.rule


@_rule(
    "modality and space", "set `modality` (a name) and `space` (an anybind.Space) in the constructor, as the spec says"
)
def _names(case: EncoderCase) -> None:
    modality, space = case.encoder.modality, case.encoder.space
    require(isinstance(modality, str) and modality, f"modality is {modality!r}")
    require(isinstance(space, Space) and space.name and space.dim > 0, f"space is {space!r}")
    if case.spec is not None:
        named = f"spec.consumes is {case.spec.consumes} and modality is {modality!r}"
        require(not case.spec.consumes or modality in case.spec.consumes, named)
        gives = f"spec.gives is {case.spec.gives!r} and space.name is {space.name!r}"
        require(not case.spec.gives or case.spec.gives == space.name, gives)


@_rule("logit scale", "set `logit_scale` to the factor that the tower was trained with, above 0, or leave it None")
def _logit_scale(case: EncoderCase) -> None:
    scale = case.encoder.logit_scale
    right = scale is None or (isinstance(scale, int | float) and 0 < scale < float("inf"))
    require(right, f"logit_scale is {scale!r}")


@_rule(
    "preprocessing is JSON-like",
    "give `preprocessing` as a mapping of texts, numbers, lists and tables: all that shapes a sample on its way in",
)
def _preprocessing(case: EncoderCase) -> None:
    preprocessing = dict(case.encoder.preprocessing)
    require(preprocessing, "preprocessing is empty, so a change of it would go unnoticed")
    require_json_like(preprocessing, "preprocessing")


@_rule(
    "identity", "give `weights_hash` as 12 hexadecimal digits (anybind.state_hash); leave `identity` as it is inherited"
)
def _identity(case: EncoderCase) -> None:
    require_hash(case.encoder.weights_hash, "weights_hash")
    settings = case.require_settings()
    require(case.encoder.identity == case.encoder.identity, "identity changes from one reading to the next")
    whole = f"identity {case.encoder.identity!r} does not hold the hashes of weights and preprocessing"
    require(case.encoder.weights_hash in case.encoder.identity and settings in case.encoder.identity, whole)


@_rule("embeds its samples", "make preprocess and encode work on every sample that the modality takes")
def _embeds(case: EncoderCase) -> None:
    vectors = case.first
    require(isinstance(vectors, np.ndarray), f"encode gives a {type(vectors).__name__}, not a NumPy array")


@_rule("right space and dim", "encode must give (number of samples, space.dim); make `space` say what the weights give")
def _dim(case: EncoderCase) -> None:
    if not isinstance(getattr(case.encoder, "space", None), Space):
        raise NotChecked("it has no space")
    wanted = (len(case.samples), case.encoder.space.dim)
    vectors = case.vectors
    require(vectors.shape == wanted, f"encode gives shape {vectors.shape}, and {case.encoder.space} wants {wanted}")


@_rule("dtype float32", "end encode with `anybind.unit(vectors)`, which gives float32")
def _dtype(case: EncoderCase) -> None:
    require(case.vectors.dtype == np.float32, f"encode gives {case.vectors.dtype}")


@_rule("finite", "find what divides by zero or overflows; raise anybind.BadInput for a sample that has no vector")
def _finite(case: EncoderCase) -> None:
    wrong = np.flatnonzero(~np.isfinite(case.vectors).all(1))
    require(not wrong.size, f"the vectors of samples {wrong.tolist()} hold NaN or infinity")


@_rule("unit norm", "end encode with `anybind.unit(vectors)`")
def _unit_norm(case: EncoderCase) -> None:
    norms = np.linalg.norm(case.vectors[np.isfinite(case.vectors).all(1)].astype(np.float64), axis=1)
    far = norms[np.abs(norms - 1) > UNIT_TOLERANCE]
    require(not far.size, f"norms are {', '.join(f'{norm:.5g}' for norm in far[:3])}, not 1")


@_rule("deterministic", "use no random crop, drop-out or noise in preprocess and encode; put the module into eval mode")
def _deterministic(case: EncoderCase) -> None:
    vectors = case.vectors
    require_close(case.again, vectors, SAME_TOLERANCE, "the same samples, embedded twice")


@_rule(
    "batch invariant",
    "make encode treat samples one by one: no statistics over the batch, no padding that is looked at",
)
def _batch_invariant(case: EncoderCase) -> None:
    vectors = case.steady()
    if len(case.samples) < 2:
        raise NotChecked("needs two samples")
    alone = np.concatenate([case.encode([sample]) for sample in case.samples])
    require_close(alone, vectors, BATCH_TOLERANCE, "one by one and in one batch")
    require_close(case.encode(case.samples[::-1])[::-1], vectors, BATCH_TOLERANCE, "in order and in reverse order")


@_rule("tells samples apart", "see whether preprocess throws away what differs, or the weights were not loaded")
def _tells_apart(case: EncoderCase) -> None:
    if len(case.samples) < 2 or all(same(case.samples[0], sample) for sample in case.samples):
        raise NotChecked("needs two samples that differ")
    spread = np.abs(case.vectors - case.vectors[:1]).max()
    require(not spread <= SAME_TOLERANCE, "all samples, which differ, have one vector")


@_rule("preprocess in threads", "keep no state in preprocess that one sample's call changes for another's")
def _threads(case: EncoderCase) -> None:
    vectors = case.steady()
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(case.encoder.preprocess, [*case.samples] * 4))
    for start in range(0, len(prepared), len(case.samples)):
        threaded = case.encoder.encode(prepared[start : start + len(case.samples)])
        require_close(threaded, vectors, BATCH_TOLERANCE, "preprocessed in threads and one after the other")


@_rule(
    "refuses wrong samples", "raise anybind.BadInput, saying what is wrong, in the modality's check or in preprocess"
)
def _refuses(case: EncoderCase) -> None:
    try:
        modality = find_modality(case.encoder.modality)
    except UnknownName:
        modality = None  # then the encoder has to refuse by itself
    for wrong in (None, object(), *case.wrong):
        if modality is None or modality.accepts(wrong):
            require_refusal(lambda wrong=wrong: _embedded(case, modality, wrong), f"a wrong sample ({short(wrong)})")


def _embedded(case: EncoderCase, modality: Modality | None, sample: Any) -> None:
    if modality is not None:
        modality.check(sample)
    case.encode([sample])
