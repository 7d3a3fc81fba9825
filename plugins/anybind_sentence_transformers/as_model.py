"""A binding as a sentence-transformers model: `as_sentence_transformer`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modality import is_audio_url_or_path, is_image_url_or_path, is_video_url_or_path
from sentence_transformers.base.modules import InputModule

from anybind import Binder
from anybind.plugin import BadInput, BadOption, modalities, tables
from anybind_sentence_transformers import MODALITIES

MODALITY_BY_KEY = {name: modality for modality, name in MODALITIES.items()}
"""Modality by its name in sentence-transformers."""
MEDIA = {"image": is_image_url_or_path, "sound": is_audio_url_or_path, "video": is_video_url_or_path}
"""How sentence-transformers recognises a text as the path of a file, by modality."""


def as_sentence_transformer(
    binder: Binder, *, prompts: Mapping[str, str] | None = None, truncate_dim: int | None = None
) -> SentenceTransformer:
    """Wrap a binding as a sentence-transformers model, for search, evaluation and other inference.

    Inputs of `encode` are texts, Pillow images, image and audio files, audio as `{"array": ..., "sampling_rate": ...}`,
    and for any modality of the binding `{"MODALITY": FILE or sample}`, such as `{"event": "duck.npz"}`, or a sample of
    anybind, such as an event stream. A batch may mix modalities. Embeddings are those of `Binder.embed`.

    The model cannot be saved or trained, since sentence-transformers loads no classes of other packages from a folder:
    see `save_sentence_transformer`.

    Args:
        binder: the binding.
        prompts: texts that `encode(prompt_name=...)` prepends to texts, by name.
        truncate_dim: keep the first dimensions only.

    Raises:
        BadOption: the binding has no modality, or `truncate_dim` is not an integer above 0.
    """
    if truncate_dim is not None:
        truncate_dim = tables.check_count("truncate_dim", truncate_dim)
    if not binder.modalities:
        raise BadOption(f"binding {binder.name!r} has no modality")
    return BinderModel(
        modules=[BinderModule(binder)],
        device="cpu",  # the binder's encoders stay on the binder's device
        prompts=dict(prompts or {}),
        truncate_dim=truncate_dim,
        similarity_fn_name="cosine",
    )


class BinderModel(SentenceTransformer):
    """A model of a `BinderModule`."""

    def supports(self, modality: Any) -> bool:
        """Return whether `encode` takes a batch of a modality; `message` is a batch of several, which it takes."""
        return modality == "message" or super().supports(modality)


class BinderModule(InputModule):
    """A module of sentence-transformers that embeds inputs by a binder."""

    save_in_root = False

    def __init__(self, binder: Binder) -> None:
        super().__init__()
        self.binder = binder

    @property
    def modalities(self) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The binding's modalities, those of sentence-transformers by its names."""
        return [MODALITIES.get(modality, modality) for modality in self.binder.modalities]

    def preprocess(self, inputs: Sequence[object], prompt: str | None = None, **options: object) -> dict[str, Any]:
        """Identify the modality of each input; files are read in `forward`.

        Raises:
            BadInput: an input of a modality that the binding does not have.
        """
        return {"items": [self._convert(each, prompt or "") for each in inputs]}

    def _convert(self, value: object, prompt: str) -> tuple[str, object]:
        """Return the modality of an input, and the item for `Binder.embed`."""
        modality, item = self._identify(value)
        if modality not in self.binder.modalities:
            names = ", ".join(self.modalities)
            raise BadInput(f"expected an input of {names}, got {MODALITIES.get(modality, modality)}")
        if isinstance(item, PIL.Image.Image):
            item = np.asarray(item.convert("RGB"))
        if modality == "sound" and isinstance(item, Mapping):
            samples = np.atleast_2d(np.asarray(item["array"], np.float32))
            item = modalities.make_sample("sound", samples, int(item["sampling_rate"]))
        return modality, prompt + item if modality == "text" and isinstance(item, str) else item

    def _identify(self, value: object) -> tuple[str, object]:
        if isinstance(value, str):
            for modality, is_media in MEDIA.items():
                if modality in self.binder.modalities and is_media(value):
                    return modality, value
            return "text", value
        if isinstance(value, PIL.Image.Image):
            return "image", value
        if isinstance(value, Mapping) and {"array", "sampling_rate"} <= value.keys():
            return "sound", value
        if isinstance(value, Mapping):
            if len(value) != 1:
                raise BadInput(f"expected one modality in an input, got {', '.join(map(str, value)) or 'none'}")
            ((key, item),) = value.items()
            return MODALITY_BY_KEY.get(key, str(key)), item
        if isinstance(value, os.PathLike):
            raise BadInput(f'expected the modality of a path, such as {{"image": {os.fspath(value)!r}}}, got the path')
        return modalities.infer_modality(value), value

    def forward(self, features: dict[str, Any], **options: object) -> dict[str, Any]:
        """Embed the items, each modality at once: `sentence_embedding` is (n, d) float32, of norm 1."""
        items: list[tuple[str, object]] = features["items"]
        vectors: dict[int, np.ndarray] = {}
        for modality in dict.fromkeys(modality for modality, _ in items):
            numbers = [number for number, (each, _) in enumerate(items) if each == modality]
            embeddings = self.binder.embed(modality, [items[number][1] for number in numbers])
            vectors |= dict(zip(numbers, embeddings.vectors, strict=True))
        rows = np.stack([vectors[number] for number in range(len(items))])
        return {**features, "sentence_embedding": torch.from_numpy(rows)}

    def get_embedding_dimension(self) -> int:
        """Return the dimension of the common space."""
        return self.binder.space(self.binder.modalities[0]).dim

    def save(self, output_path: str, *args: object, safe_serialization: bool = True, **options: object) -> None:
        """Refuse: see `as_sentence_transformer`."""
        raise BadOption(
            "a binding wrapped as a sentence-transformers model cannot be saved: save_sentence_transformer(binder,"
            " DIR) saves what stock modules can express"
        )
