"""A binding as an encoder of MTEB, so that `mteb.evaluate` asks its tasks of it: the extra `mteb`."""

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
    TorchEncoder,
    errors,
    find_part,
    progress_bar,
    tables,
)

# MTEB is an extra that types are checked without.
# pyright: reportMissingImports=false
try:
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.similarity_functions import cos_sim, pairwise_cos_sim
    from mteb.types import Licenses
except ModuleNotFoundError as error:
    raise errors.MissingExtra(f"MTEB cannot be imported ({error}): pip install 'anybind[mteb]'") from error

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

KINDS = {"text": "text", "image": "image", "audio": "sound"}
"""MTEB's modalities by the names that they have here. Its fourth, video, is not taken."""


def as_mteb_encoder(
    binding: Binder | str = "mini",
    *,
    modalities: Iterable[str] | None = None,
    images_as: str = "image",
    seed: int = 0,
    device: str = "cpu",
) -> MtebEncoder:
    """A binding in the shape that `mteb.evaluate` takes.

    Args:
        binding: a binder, or what `anybind.load` takes.
        modalities: those that it shall answer for, of `text`, `image` and `sound`: all that the binding has by
            default. Their towers are loaded at once.
        images_as: what pictures are embedded as: `image`, or a modality that is derived from pictures, such as `event`.
        seed: of what is derived.
        device: where towers run, if a binding is named.

    Raises:
        UnknownName: no such binding.
        BadOption: the binding embeds none of the modalities, or MTEB has none of that name.
    """
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    return MtebEncoder(binder, modalities=modalities, images_as=images_as, seed=seed)


class AudioColumn(TypedDict):
    """A sound as MTEB gives it: samples, (n,) or (channels, n), at a rate in Hz."""

    array: np.ndarray
    sampling_rate: int


class MtebEncoder:
    """A binder that keeps MTEB's protocol of encoders.

    Vectors are those of `Binder.embed`, of norm 1 and in the binding's common space. Of samples that are of several
    modalities at once it gives the normalised sum of the vectors of those that the binding embeds. An empty text has
    no direction: its vector is zero, which is similar to nothing. Instructions and prompts are not put before texts.
    """

    def __init__(self, binder: Binder, *, modalities: Iterable[str] | None, images_as: str, seed: int) -> None:
        """As `as_mteb_encoder`."""
        self.binder, self.images_as, self.seed = binder, images_as, seed
        seen_as = {**KINDS, "image": images_as}
        asked = set(KINDS.values() if modalities is None else modalities)
        if stray := sorted(asked - set(KINDS.values())):
            raise BadOption(f"MTEB asks about {', '.join(KINDS.values())}, not about {stray[0]}")
        self.kinds = {
            kind: seen_as[kind] for kind, of in KINDS.items() if of in asked and seen_as[kind] in binder.modalities
        }
        if not self.kinds:
            raise BadOption(
                f"binding {binder.name!r} embeds {', '.join(binder.modalities)}, none of what is asked for:"
                f" {', '.join(sorted(asked))}"
            )
        self.encoders: dict[str, Encoder] = {of: binder.encoder(of) for of in self.kinds.values()}

    @cached_property
    def mteb_model_meta(self) -> ModelMeta:
        """What MTEB's results say of the model. The revision stands for all weights and settings behind its vectors."""
        identities = {of: self.binder.identity(of) for of in self.encoders}
        count = _parameters(self.encoders.values())
        seen = {} if self.images_as == "image" else {"images_as": self.images_as, "seed": self.seed}
        licences = self._licences()
        length = self.encoders["text"].preprocessing.get("context_length") if "text" in self.encoders else None
        return ModelMeta(
            loader=None,
            name="anybind/" + re.sub(r"[^\w.-]+", "-", self.binder.name).strip("-"),
            revision=tables.hash_settings({**identities, **seen}),
            release_date=None,
            languages=None,
            n_parameters=count,
            memory_usage_mb=None if count is None else round(4 * count / 2**20, 1),
            max_tokens=length if isinstance(length, int) else None,
            embed_dim=self.binder.space(next(iter(self.encoders))).dim,
            license=_licence(licences),
            open_weights=True if licences and all(licences) else None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name=ScoringFunction.COSINE,
            use_instructions=False,
            training_datasets=None,
            modalities=list(self.kinds),  # pyright: ignore[reportArgumentType]
            experiment_kwargs=seen or None,
        )

    def _licences(self) -> set[str]:
        """Of the weights of all encoders that take part, and of the adapters behind them."""
        held = self.binder.binding
        adapters = held.adapters if any(self.binder.route(of) for of in self.encoders) else ()
        return {
            *(find_part(EncoderSpec, held.encoders[of].name).spec.weights_licence for of in self.encoders),
            *(find_part(AdapterSpec, use.name).spec.weights_licence for use in adapters),
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
        """Vectors of what a loader gives: (n, d) float32, of norm 1, or 0 for an empty text.

        Args:
            inputs: batches with the columns `text` (strings), `image` (Pillow's pictures) and `audio` (`array` and
                `sampling_rate`), one or several of them; other columns are not looked at.
            task_metadata, hf_split, hf_subset, prompt_type: not looked at: a sample always gives the same vector.
            kwargs: `show_progress_bar`; a `precision` other than float32 is refused.

        Raises:
            BadInput: samples have none of the modalities that the binding embeds here, or cannot be read.
            BadOption: another precision than float32.
        """
        if kwargs.get("precision") not in (None, "float32"):
            raise BadOption(f"vectors are float32 here, not {kwargs['precision']}")
        dim = self.binder.space(next(iter(self.encoders))).dim
        found = [np.empty((0, dim), np.float32)]
        shown = len(inputs) if kwargs.get("show_progress_bar", True) else 0
        with progress_bar(shown, f"embedding for {task_metadata.name}") as advance:
            for batch in inputs:
                found.append(self._fused(batch))
                advance(1)
        return np.concatenate(found)

    def similarity(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Cosines of all pairs, (n, m)."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Cosines of rows of the same number, (n,)."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    def _fused(self, batch: Mapping[str, object]) -> np.ndarray:
        held = [kind for kind in self.kinds if kind in batch]
        if not held:
            there = ", ".join(kind for kind in (*KINDS, "video") if kind in batch) or "no modality that MTEB knows"
            raise BadInput(
                f"the samples are of {there}, and the binding {self.binder.name!r} embeds {', '.join(self.kinds)} here"
            )
        vectors = sum(getattr(self, f"_{kind}")(batch[kind]) for kind in held)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _embed(self, kind: str, samples: Sequence[object]) -> np.ndarray:
        of = self.kinds[kind]
        seed = None if of in KINDS.values() else self.seed
        return concatenate(list(self.binder.embed_batches(of, samples, derive_seed=seed))).vectors

    def _text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), self.binder.space("text").dim), np.float32)
        if len(rows) < len(texts):
            warnings.warn(f"{len(texts) - len(rows)} empty texts: their vectors are zero", AnybindWarning, stacklevel=5)
        if rows:
            vectors[rows] = self._embed("text", [texts[row] for row in rows])
        return vectors

    def _image(self, pictures: Sequence[PIL.Image.Image]) -> np.ndarray:
        if stray := [type(picture).__name__ for picture in pictures if not isinstance(picture, PIL.Image.Image)]:
            raise BadInput(f"pictures are taken as Pillow's images, got {stray[0]}")
        return self._embed("image", [np.asarray(picture.convert("RGB")) for picture in pictures])

    def _audio(self, sounds: Sequence[AudioColumn]) -> np.ndarray:
        import soundfile

        with tempfile.TemporaryDirectory(prefix="anybind-") as folder:  # sounds are read from files, as everywhere
            paths = [Path(folder) / f"{number}.wav" for number in range(len(sounds))]
            for path, sound in zip(paths, sounds, strict=True):
                samples = np.asarray(sound["array"], np.float32)
                soundfile.write(path, samples.T, int(sound["sampling_rate"]), subtype="FLOAT")
            return self._embed("audio", paths)


def _parameters(encoders: Iterable[Encoder]) -> int | None:
    """How many weights there are, shared ones once; None where an encoder does not show them."""
    sizes: dict[int, int] = {}
    for encoder in encoders:
        if not isinstance(encoder, TorchEncoder):
            return None
        sizes |= {id(each): each.numel() for each in encoder.module.parameters()}
    return sum(sizes.values())


def _licence(licences: set[str]) -> str | None:
    """In MTEB's words; None where it has none, or where a part does not say its own."""
    known = {name for each in get_args(Licenses) for name in get_args(each) or (each,)}
    names = {licence.lower() for licence in licences}
    if len(names) > 1:
        return None if "" in names else "multiple"
    name = names.pop()
    return name if name in known else None
