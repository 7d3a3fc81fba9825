"""The head `zero-shot`: comparison of windows with prompts for normal and abnormal scenes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anybind import Binder, Embeddings
from anybind.plugin import BadOption, Head, HeadInput, prompts
from anybind_vad.heads.prompts import read_prompt_set

SCALE = 100.0
"""Default scale of the logits: CLIP's."""


class ZeroShotHead(Head):
    """The softmax probability of the abnormal prompts among all prompts, 0 to 1; the largest over a window's rows.

    It needs no training. Logits are cosine similarities times the encoder's logit scale. The names of the options are
    part of the file format of saved heads.
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
        """Read the prompt set; `prepare` embeds it.

        Args:
            prompts: a bundled prompt set, or a file; see `read_prompt_set`.
            normal, abnormal, templates: override those of the set.
            modality: modality of the window embeddings.
            words: modality of the prompts.
            scale: scale of the logits, above 0. [default: the encoder's]

        Raises:
            UnknownName, BadInput, BadOption: see `read_prompt_set` and `PromptSet`, or the scale is not above 0.
        """
        if scale is not None and not (isinstance(scale, int | float) and 0 < scale < np.inf):
            raise BadOption(f"scale: expected a number above 0, got {scale!r}")
        base = read_prompt_set(prompts)
        overrides = {"normal": normal, "abnormal": abnormal, "templates": templates}
        self.prompts = replace(base, **{name: texts for name, texts in overrides.items() if texts is not None})
        self.words, self.scale = words, scale
        texts = {name: list(getattr(self.prompts, name)) for name in ("normal", "abnormal", "templates")}
        super().__init__(needs=(modality,), settings={**texts, "modality": modality, "words": words, "scale": scale})

    def prepare(self, binder: Binder) -> None:
        """Embed the prompts."""
        names = [*self.prompts.normal, *self.prompts.abnormal]
        embedded = prompts.embed_class_names(binder, self.words, names, self.prompts.templates)
        self.record_encoder(embedded)
        self.tensors = {"words": embedded.vectors}

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        if not self.tensors:  # saved before `prepare`
            return {}
        record = self.made_for.get(self.words)
        return {"words": (len(self.prompts.normal) + len(self.prompts.abnormal), record.space.dim if record else 0)}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        if not self.tensors:
            raise BadOption("the head 'zero-shot' has no embedded prompts: call prepare with a binder first")
        (modality,) = self.needs
        rows = inputs.embeddings[modality]
        self.made_for[self.words].space.require_same(rows.space, f"compare {modality} with {self.words}")
        scale = self.scale or rows.logit_scale or SCALE
        logits = scale * (rows.vectors @ self.tensors["words"].T).astype(np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        abnormal = weights[:, len(self.prompts.normal) :].sum(axis=1) / weights.sum(axis=1)
        return inputs.max_by_sample(modality, abnormal)
