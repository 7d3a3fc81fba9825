"""The head `zero-shot`: windows are compared with prompts for normal and abnormal scenes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anybind import Binder, Embeddings
from anybind.plugin import BadOption, Head, HeadInput, prompts
from anybind_vad.heads.prompts import read_prompt_set

SCALE = 100.0
"""Of the softmax where the tower names none: CLIP's."""


class ZeroShotHead(Head):
    """The softmax probability of the abnormal prompts among all prompts, 0 to 1; the largest over a window's rows.

    It learns nothing. The logits are cosine similarities times the encoder's logit scale.
    """

    name = "zero-shot"
    predicts = "anomaly"

    def __init__(
        self,
        *,
        prompts: str | os.PathLike[str] = "general",
        normal: Sequence[str] | None = None,
        abnormal: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        modality: str = "event",
        words: str = "text",
        scale: float | None = None,
    ) -> None:
        """Read the words; they are embedded by `prepare`.

        Args:
            prompts: a set that comes with anybind, or a file; see `read_prompts`.
            normal, abnormal, templates: in place of the set's own.
            modality: whose embeddings are compared.
            words: the modality of the words.
            scale: factor of the softmax, in place of the tower's; above 0.

        Raises:
            UnknownName, BadInput, BadOption: see `read_prompts` and `PromptSet`, or a scale that is not above 0.
        """
        if scale is not None and not (isinstance(scale, int | float) and 0 < scale < np.inf):
            raise BadOption(f"scale must be a number above 0, got {scale!r}")
        base = read_prompt_set(prompts)
        given = {"normal": normal, "abnormal": abnormal, "templates": templates}
        self.prompts = replace(base, **{name: texts for name, texts in given.items() if texts is not None})
        self.words, self.scale = words, scale
        chosen = {name: list(getattr(self.prompts, name)) for name in ("normal", "abnormal", "templates")}
        super().__init__(needs=(modality,), settings={**chosen, "modality": modality, "words": words, "scale": scale})

    def prepare(self, binder: Binder) -> None:
        """Embed the words."""
        names = [*self.prompts.normal, *self.prompts.abnormal]
        embedded = prompts.embed_class_names(binder, self.words, names, self.prompts.templates)
        self.record_encoder(embedded)
        self.tensors = {"words": embedded.vectors}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        if not self.tensors:
            raise BadOption("the head 'zero-shot' has no embedded prompts: call prepare with a binder")
        (modality,) = self.needs
        rows = inputs.embeddings[modality]
        self.made_for[self.words].space.require_same(rows.space, f"compare {modality} with {self.words}")
        scale = self.scale or rows.logit_scale or SCALE
        logits = scale * (rows.vectors @ self.tensors["words"].T).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        abnormal = shares[:, len(self.prompts.normal) :].sum(axis=1) / shares.sum(axis=1)
        return inputs.max_by_sample(modality, abnormal)
