"""The base of a pack: its description, and the check that it is still the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import Binder
from anybind.plugin import Adapter, Encoder, EncoderSpec, errors, find_part, tensors
from anybind_packs.card import SAMPLES, Base, BasePart, read_pack
from anybind_packs.fixed_samples import make_fixed_samples

MIN_COSINE = 1 - 1e-4
"""Smallest cosine similarity of an unchanged base's embeddings: floats differ between processors and libraries."""


def embed_fixed_samples(encoder: Encoder) -> np.ndarray:
    """Embed the fixed samples of an encoder's modality, one by one: (n, d) float32, in its own space."""
    rows = [encoder.encode([encoder.preprocess(sample)])[0] for sample in make_fixed_samples(encoder.modality)]
    return np.array(rows, np.float32).reshape(len(rows), encoder.space.dim)


def describe_base(
    binder: Binder, name: str, modalities: Sequence[str], adapters: int
) -> tuple[Base, dict[str, np.ndarray]]:
    """Describe encoders of a binding, which are loaded, and its first adapters.

    Returns:
        the description, and the embeddings of the fixed samples, (n, d) float32, by modality.
    """
    parts, embeddings = {}, {}
    for modality in modalities:
        encoder, use = binder.encoder(modality), binder.binding.encoders[modality]
        vectors = embed_fixed_samples(encoder)
        if len(vectors):
            embeddings[modality] = vectors
        repository, _, revision = encoder.space.backbone.partition("@")
        parts[modality] = BasePart(
            encoder=use.name,
            weights_hash=encoder.weights_hash,
            samples=len(vectors),
            repository=repository,
            revision=revision,
            licence=find_part(EncoderSpec, use.name).spec.weights_licence,
        )
    identities = tuple(adapter.identity for adapter in binder.adapters[:adapters])
    return Base(name, parts, identities), embeddings


@dataclass(frozen=True)
class BaseCheck:
    """The check of a pack's base, when its encoders are loaded: of the weights, and of the fixed samples' embeddings.

    Weights of one hash can still give other embeddings: with another preprocessing, or a library that changed.

    Attributes:
        folder: folder of the pack.
        number: index of the base.
        modalities: those of the base that the binding embeds.
    """

    folder: Path
    number: int
    modalities: tuple[str, ...]

    def check_encoder(self, modality: str, encoder: Encoder) -> None:
        """Raise `WeightsMismatch` unless the encoder is that of the base that the pack was made on."""
        if modality not in self.modalities:
            return
        card = read_pack(self.folder)
        base = card.bases[self.number]
        expected = base.encoders[modality]
        where = f"the pack {card.name!r} fits another {modality} encoder of {base.binding}"
        if encoder.weights_hash != expected.weights_hash:
            raise errors.WeightsMismatch(
                f"{where}: expected the weights {expected.weights_hash}, got {encoder.weights_hash};"
                " get the base as it was, or train again on this one"
            )
        if not expected.samples:
            return
        _, stored = tensors.read_tensors(self.folder / SAMPLES, mapped=True)
        before, now = stored[f"{self.number}.{modality}"], embed_fixed_samples(encoder)
        cosine = float((before.astype(np.float64) * now).sum(1).min()) if before.shape == now.shape else float("nan")
        if not cosine >= MIN_COSINE:
            raise errors.WeightsMismatch(
                f"{where}: its weights are the same, but its embeddings of fixed samples are not (min cosine"
                f" {cosine:.5f}, at least {MIN_COSINE} expected): its preprocessing or a library has changed"
            )

    def check_adapters(self, adapters: Sequence[Adapter]) -> None:
        """Raise `WeightsMismatch` unless the adapters are those of the base; a binder without adapters has none."""
        card = read_pack(self.folder)
        before = sum(len(base.adapters) for base in card.bases[: self.number])
        expected = card.bases[self.number].adapters
        actual = tuple(each.identity for each in adapters[before : before + len(expected)])
        if adapters and actual != expected:
            raise errors.WeightsMismatch(
                f"the pack {card.name!r} fits other adapters of {card.bases[self.number].binding}: expected"
                f" {', '.join(expected)}, got {', '.join(actual)}"
            )
