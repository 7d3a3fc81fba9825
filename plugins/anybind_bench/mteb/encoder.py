"""A binding as an MTEB encoder, to be evaluated by `mteb.evaluate`; needs the extra `mteb`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mteb.similarity_functions import cos_sim, pairwise_cos_sim

from anybind import AnybindWarning, Binder, concatenate, load, normalize
from anybind.plugin import BadInput, BadOption, Encoder, loops
from anybind_bench.mteb import media
from anybind_bench.mteb.metadata import BindingMeta, describe_binding, get_column

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false

MAX_VIDEO_FRAMES = 512


def as_mteb_encoder(
    binding: Binder | str = "mini",
    *,
    modalities: Iterable[str] | None = None,
    images_as: str = "image",
    video_frames: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> MtebEncoder:
    """Wrap a binding as an encoder for `mteb.evaluate`.

    Args:
        binding: a binder, or an argument of `anybind.load`.
        modalities: modalities to evaluate; their encoders are loaded at once. [default: all of the binding]
        images_as: modality to embed images as: `image`, or a modality derived from images, such as `event`.
        video_frames: embed a video as the normalised mean of the embeddings of this many frames, evenly spaced in time,
            each embedded as an image is; 1 to 512. [default: by the binding's video encoder; without one, video is not
            supported]
        seed: seed of derived samples.
        device: torch device, e.g. cpu, cuda:1; for a binding given by name.

    Raises:
        UnknownName: no such binding.
        BadOption: the binding embeds none of the modalities, or an option is invalid.
    """
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    return MtebEncoder(binder, modalities=modalities, images_as=images_as, video_frames=video_frames, seed=seed)


class MtebEncoder:
    """A binder with MTEB's encoder protocol.

    Embeddings are those of `Binder.embed`: of norm 1, in the binding's common space. A sample of several modalities
    gets the normalised sum of their embeddings. An empty text has no direction: its embedding is zero. Instructions and
    prompts are not prepended to texts.
    """

    def __init__(
        self,
        binder: Binder,
        *,
        modalities: Iterable[str] | None,
        images_as: str,
        video_frames: int | None,
        seed: int,
    ) -> None:
        """Load the encoders; see `as_mteb_encoder`."""
        self.binder, self.images_as, self.video_frames, self.seed = binder, images_as, video_frames, seed
        available = self._list_available()
        selected = list(dict.fromkeys(available if modalities is None else modalities))
        if unsupported := [name for name in selected if name not in available]:
            raise BadOption(
                f"modalities: expected modalities of binding {binder.name!r} ({', '.join(available) or 'none'}),"
                f" got {unsupported[0]}"
            )
        if not selected:
            raise BadOption(f"modalities: expected at least one of binding {binder.name!r} ({', '.join(available)})")
        self.modality_by_column = {get_column(name): available[name] for name in selected}
        self.encoders: dict[str, Encoder] = {name: binder.encoder(name) for name in self.modality_by_column.values()}

    def _list_available(self) -> dict[str, str]:
        """Return the modality that embeds the samples of each supported modality."""
        available = {name: name for name in self.binder.modalities}
        if self.images_as != "image":
            if self.images_as not in available:
                raise BadOption(
                    f"images_as: expected a modality of binding {self.binder.name!r} ({', '.join(available)}),"
                    f" got {self.images_as}"
                )
            available["image"] = self.images_as
        if self.video_frames is not None:
            if not 1 <= self.video_frames <= MAX_VIDEO_FRAMES:
                raise BadOption(f"video_frames: expected 1 to {MAX_VIDEO_FRAMES} frames, got {self.video_frames}")
            if "image" not in available:
                raise BadOption(f"video_frames: binding {self.binder.name!r} has no image encoder for the frames")
            available["video"] = available["image"]
        return available

    @cached_property
    def mteb_model_meta(self) -> BindingMeta:
        """Model metadata in MTEB's results; the revision is a hash of all weights and settings."""
        settings = {} if self.images_as == "image" else {"images_as": self.images_as, "seed": self.seed}
        if self.video_frames is not None:
            settings["video_frames"] = self.video_frames
        return describe_binding(self.binder, self.encoders, self.modality_by_column, settings)

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
        """Embed the samples of a loader: (n, d) float32, of norm 1, or 0 for an empty sample.

        Args:
            inputs: batches with one or more columns: `text` (strings), `image` (Pillow images), `audio` (`array` and
                `sampling_rate`, or `bytes` or `path` of a file), `video` (`bytes` or `path` of a file, or frames), or
                the name of another modality of the binding (paths of files); other columns are ignored.
            task_metadata, hf_split, hf_subset, prompt_type: ignored: embeddings do not depend on the task.
            kwargs: `show_progress_bar`; `precision` must be float32.

        Raises:
            BadInput: samples without a supported modality, or unreadable samples.
            BadOption: a precision other than float32.
        """
        if kwargs.get("precision") not in (None, "float32"):
            raise BadOption(f"unsupported precision {kwargs['precision']}; supported: float32")
        embeddings = [np.empty((0, self._dim), np.float32)]
        n_batches = len(inputs) if kwargs.get("show_progress_bar", True) else 0
        with loops.progress_bar(n_batches, f"embedding for {task_metadata.name}") as advance:
            for batch in media.iterate_undecoded(inputs):
                embeddings.append(self._embed_batch(batch))
                advance(1)
        return np.concatenate(embeddings)

    def similarity(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Compute the cosine similarity of all pairs, (n, m)."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Array, embeddings2: Array) -> Array:
        """Compute the cosine similarity of rows with the same index, (n,)."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    @property
    def _dim(self) -> int:
        return self.binder.space(next(iter(self.encoders))).dim

    def _embed_batch(self, batch: Mapping[str, Any]) -> np.ndarray:
        columns = [column for column in self.modality_by_column if column in batch]
        if not columns:
            names = ", ".join(name for name in ("text", "image", "audio", "video") if name in batch)
            supported = ", ".join(self.modality_by_column)
            raise BadInput(
                f"samples have {names or 'no known modality'}; expected modalities of binding {self.binder.name!r}:"
                f" {supported}"
            )
        embeddings = np.sum([self._embed_column(column, batch[column]) for column in columns], axis=0)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if n_empty := int(np.sum(norms == 0)):
            warnings.warn(
                f"{n_empty} of {len(norms)} samples are empty: their embeddings are zero", AnybindWarning, stacklevel=3
            )
        return (embeddings / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _embed_column(self, column: str, values: Sequence[Any]) -> np.ndarray:
        """Embed one modality of a batch, (n, d); rows of missing samples are zero."""
        embeddings = np.zeros((len(values), self._dim), np.float32)
        rows = [row for row, value in enumerate(values) if not media.is_missing(value)]
        present = [values[row] for row in rows]
        if not rows:
            return embeddings
        with tempfile.TemporaryDirectory(prefix="anybind-") as name:  # our readers read files
            paths = [Path(name) / str(number) for number in range(len(rows))]
            match column:
                case "image":
                    embeddings[rows] = self._embed_images(media.check_images(present))
                case "audio":
                    embeddings[rows] = self._embed("sound", list(map(media.save_audio, present, paths)))
                case "video":
                    embeddings[rows] = self._embed_videos(list(map(media.save_video, present, paths)))
                case "text":
                    embeddings[rows] = self._embed("text", present)
                case _:
                    present = list(map(media.parse_reference, present))
                    embeddings[rows] = self._embed(self.modality_by_column[column], present)
        return embeddings

    def _embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        seed = None if self.images_as == "image" else self.seed
        return self._embed(self.images_as, images, seed)

    def _embed_videos(self, paths: Sequence[Path]) -> np.ndarray:
        if self.video_frames is None:
            return self._embed("video", paths)
        frames = (media.sample_frames(path, self.video_frames) for path in paths)
        return normalize(np.stack([self._embed_images(each).mean(axis=0) for each in frames]))

    def _embed(self, modality: str, samples: Sequence[object], seed: int | None = None) -> np.ndarray:
        return concatenate(list(self.binder.embed_batches(modality, samples, derive_seed=seed))).vectors
