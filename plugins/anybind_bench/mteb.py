"""A binding as an MTEB encoder, to be evaluated by `mteb.evaluate`; needs the extra `mteb`."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, get_args

import numpy as np
import PIL.Image

from anybind import AnybindWarning, Binder, concatenate, load
from anybind.plugin import (
    AdapterSpec,
    BadInput,
    BadOption,
    Encoder,
    EncoderSpec,
    OnnxEncoder,
    TorchEncoder,
    errors,
    find_part,
    progress_bar,
    tables,
)

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false
try:
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.similarity_functions import cos_sim, pairwise_cos_sim
    from mteb.types import Licenses
except ModuleNotFoundError as error:
    raise errors.MissingExtra(f"cannot import MTEB ({error}): pip install 'anybind[mteb]'") from error

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

MODALITIES = {"text": "text", "image": "image", "audio": "sound"}
"""Modality by MTEB's column name. MTEB's `video` is not supported."""


def as_mteb_encoder(
    binding: Binder | str = "mini",
    *,
    modalities: Iterable[str] | None = None,
    images_as: str = "image",
    seed: int = 0,
    device: str = "cpu",
) -> MtebEncoder:
    """Wrap a binding as an encoder for `mteb.evaluate`.

    Args:
        binding: a binder, or an argument of `anybind.load`.
        modalities: modalities to evaluate, of `text`, `image` and `sound`; their encoders are loaded at once.
            [default: all of the binding]
        images_as: modality to embed images as: `image`, or a modality derived from images, such as `event`.
        seed: seed of derived samples.
        device: torch device, e.g. cpu, cuda:1; for a binding given by name.

    Raises:
        UnknownName: no such binding.
        BadOption: the binding embeds none of the modalities, or MTEB does not support one.
    """
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    return MtebEncoder(binder, modalities=modalities, images_as=images_as, seed=seed)


class AudioColumn(TypedDict):
    """An audio clip in MTEB's form: samples, (n,) or (channels, n), and the sample rate in Hz."""

    array: np.ndarray
    sampling_rate: int


class MtebEncoder:
    """A binder with MTEB's encoder protocol.

    Embeddings are those of `Binder.embed`: of norm 1, in the binding's common space. A sample of several modalities
    gets the normalised sum of their embeddings. An empty text has no direction: its embedding is zero. Instructions and
    prompts are not prepended to texts.
    """

    def __init__(self, binder: Binder, *, modalities: Iterable[str] | None, images_as: str, seed: int) -> None:
        """Load the encoders; see `as_mteb_encoder`."""
        self.binder, self.images_as, self.seed = binder, images_as, seed
        modality_names = {**MODALITIES, "image": images_as}
        selected = set(MODALITIES.values() if modalities is None else modalities)
        if unsupported := sorted(selected - set(MODALITIES.values())):
            raise BadOption(f"modalities: expected {', '.join(MODALITIES.values())}, got {unsupported[0]}")
        self.modality_by_column = {
            column: modality_names[column]
            for column, modality in MODALITIES.items()
            if modality in selected and modality_names[column] in binder.modalities
        }
        if not self.modality_by_column:
            raise BadOption(
                f"binding {binder.name!r} embeds {', '.join(binder.modalities)}, none of the modalities"
                f" {', '.join(sorted(selected))}"
            )
        self.encoders: dict[str, Encoder] = {name: binder.encoder(name) for name in self.modality_by_column.values()}

    @cached_property
    def mteb_model_meta(self) -> ModelMeta:
        """Model metadata in MTEB's results; the revision is a hash of all weights and settings."""
        identities = {modality: self.binder.identity(modality) for modality in self.encoders}
        count = _count_parameters(self.encoders.values())
        derivation = {} if self.images_as == "image" else {"images_as": self.images_as, "seed": self.seed}
        licences = self._list_licences()
        context_length = self.encoders["text"].preprocessing.get("context_length") if "text" in self.encoders else None
        return ModelMeta(
            loader=None,
            name="anybind/" + re.sub(r"[^\w.-]+", "-", self.binder.name).strip("-"),
            revision=tables.hash_settings({**identities, **derivation}),
            release_date=None,
            languages=None,
            n_parameters=count,
            memory_usage_mb=None if count is None else round(4 * count / 2**20, 1),
            max_tokens=context_length if isinstance(context_length, int) else None,
            embed_dim=self.binder.space(next(iter(self.encoders))).dim,
            license=_format_licence(licences),
            open_weights=True if licences and all(licences) else None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name=ScoringFunction.COSINE,
            use_instructions=False,
            training_datasets=None,
            modalities=list(self.modality_by_column),  # pyright: ignore[reportArgumentType]
            experiment_kwargs=derivation or None,
        )

    def _list_licences(self) -> set[str]:
        """List the licences of the encoders' weights and of the adapters."""
        binding = self.binder.binding
        adapters = binding.adapters if any(self.binder.route(modality) for modality in self.encoders) else ()
        encoders = [binding.encoders[modality] for modality in self.encoders]
        return {
            *(find_part(EncoderSpec, encoder.name).spec.weights_licence for encoder in encoders),
            *(find_part(AdapterSpec, adapter.name).spec.weights_licence for adapter in adapters),
        }

    def encode(
        self,
        inputs: DataLoader[BatchedInput],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: object,
    ) -> np.ndarray:
        """Embed the samples of a loader: (n, d) float32, of norm 1, or 0 for an empty text.

        Args:
            inputs: batches with one or more of the columns `text` (strings), `image` (Pillow images) and `audio`
                (`array` and `sampling_rate`); other columns are ignored.
            task_metadata, hf_split, hf_subset, prompt_type: ignored: embeddings do not depend on the task.
            kwargs: `show_progress_bar`; `precision` must be float32.

        Raises:
            BadInput: samples without a supported modality, or unreadable samples.
            BadOption: a precision other than float32.
        """
        if kwargs.get("precision") not in (None, "float32"):
            raise BadOption(f"unsupported precision {kwargs['precision']}; supported: float32")
        dim = self.binder.space(next(iter(self.encoders))).dim
        embeddings = [np.empty((0, dim), np.float32)]
        n_batches = len(inputs) if kwargs.get("show_progress_bar", True) else 0
        with progress_bar(n_batches, f"embedding for {task_metadata.name}") as advance:
            for batch in inputs:
                embeddings.append(self._embed_batch(batch))
                advance(1)
        return np.concatenate(embeddings)

    def similarity(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Compute the cosine similarity of all pairs, (n, m)."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Compute the cosine similarity of rows with the same index, (n,)."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    def _embed_batch(self, batch: Mapping[str, object]) -> np.ndarray:
        columns = [column for column in self.modality_by_column if column in batch]
        if not columns:
            names = ", ".join(name for name in (*MODALITIES, "video") if name in batch) or "no known modality"
            supported = ", ".join(self.modality_by_column)
            raise BadInput(f"samples have {names}; expected modalities of binding {self.binder.name!r}: {supported}")
        embeddings = sum(getattr(self, f"_embed_{column}")(batch[column]) for column in columns)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return (embeddings / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _embed(self, column: str, samples: Sequence[object]) -> np.ndarray:
        modality = self.modality_by_column[column]
        seed = None if modality in MODALITIES.values() else self.seed
        return concatenate(list(self.binder.embed_batches(modality, samples, derive_seed=seed))).vectors

    def _embed_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [row for row, text in enumerate(texts) if text.strip()]
        embeddings = np.zeros((len(texts), self.binder.space("text").dim), np.float32)
        if n_empty := len(texts) - len(rows):
            warnings.warn(f"{n_empty} empty texts: their embeddings are zero", AnybindWarning, stacklevel=5)
        if rows:
            embeddings[rows] = self._embed("text", [texts[row] for row in rows])
        return embeddings

    def _embed_image(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        if unsupported := [type(image).__name__ for image in images if not isinstance(image, PIL.Image.Image)]:
            raise BadInput(f"images: expected Pillow images, got {unsupported[0]}")
        return self._embed("image", [np.asarray(image.convert("RGB")) for image in images])

    def _embed_audio(self, clips: Sequence[AudioColumn]) -> np.ndarray:
        import soundfile

        with tempfile.TemporaryDirectory(prefix="anybind-") as folder:  # binders embed audio from files
            paths = [Path(folder) / f"{number}.wav" for number in range(len(clips))]
            for path, clip in zip(paths, clips, strict=True):
                samples = np.asarray(clip["array"], np.float32)
                soundfile.write(path, samples.T, int(clip["sampling_rate"]), subtype="FLOAT")
            return self._embed("audio", paths)


def _count_parameters(encoders: Iterable[Encoder]) -> int | None:
    """Count the parameters, shared ones once; None if an encoder is neither on torch nor on a graph with weights."""
    sizes: dict[int, int] = {}
    for encoder in encoders:
        if isinstance(encoder, TorchEncoder):
            sizes |= {id(each): each.numel() for each in encoder.module.parameters()}
        elif isinstance(encoder, OnnxEncoder) and encoder.weights:
            buffers = ("running_mean", "running_var", "num_batches_tracked")
            sizes |= {id(each): each.size for name, each in encoder.weights.items() if not name.endswith(buffers)}
        else:
            return None
    return sum(sizes.values())


def _format_licence(licences: set[str]) -> str | None:
    """Return MTEB's name of the licence; None if it has none, or if a licence is unknown."""
    known_names = {name for each in get_args(Licenses) for name in get_args(each) or (each,)}
    names = {licence.lower() for licence in licences}
    if len(names) > 1:
        return None if "" in names else "multiple"
    name = names.pop()
    return name if name in known_names else None
