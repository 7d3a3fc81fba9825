"""The encoders of a sentence-transformers model, one for each modality, on shared weights."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer

from anybind import AnybindError, Space
from anybind.plugin import BadInput, BadOption, Encoder, TorchEncoder, errors, samples, tensors
from anybind_sentence_transformers import MODALITIES
from anybind_sentence_transformers.inputs import convert_image, convert_sound, convert_text, convert_video
from anybind_sentence_transformers.model_files import ModelFolder, find_model_folder, hash_model_settings

if TYPE_CHECKING:
    import PIL.Image

N_FRAMES = 32
"""Default number of frames of a video."""
RANDOM_WEIGHTS = ("MISSING", "MISMATCH")
"""Marks in the report of transformers of weights that the file does not have, and which are random."""


class SentenceTransformerEncoder(TorchEncoder):
    """One modality of a sentence-transformers model. Embeddings are those of `SentenceTransformer.encode`, of norm 1.

    Args:
        model: a folder, or `ORG/REPO[@REVISION]` of the hub.
        shared: an encoder of the same model, in place of `model`; in a binding file `shared = "@text"`.
        prompt: text before each text; the system message of models with a chat template. [default: that of
            `prompt_name`]
        prompt_name: name of a prompt of the model. [default: the model's default prompt, often none]
        truncate_dim: keep the first dimensions only. [default: as the model states, or as `shared`]

    Raises:
        BadInput: the model cannot be loaded, or does not have the modality.
        BadOption: both `model` and `shared` are given, or neither; no such prompt; or a dimension out of range.
        WeightsMismatch: weights are missing, of another shape, or not finite.
    """

    def __init__(
        self,
        model: str = "",
        *,
        shared: Encoder | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        if bool(model) == (shared is not None):
            raise BadOption('expected either model, or shared, such as shared = "@text"')
        if shared is not None and not isinstance(shared, SentenceTransformerEncoder):
            raise BadOption(f"shared: expected an encoder of sentence-transformers, got a {type(shared).__name__}")
        self._shared = shared
        self.folder = find_model_folder(model) if shared is None else shared.folder
        self.model = load_model(self.folder) if shared is None else shared.model
        if MODALITIES[self.modality] not in self.model.modalities:
            declared = ", ".join(map(str, self.model.modalities))
            raise BadInput(f"{self.folder.path}: expected a model of {MODALITIES[self.modality]}, got {declared}")
        if truncate_dim is None:
            truncate_dim = self.model.truncate_dim if shared is None else shared.truncate_dim
        self.truncate_dim = truncate_dim
        self.prompt = _choose_prompt(self.model, prompt, prompt_name)
        config = hash_model_settings(self.folder.path)
        settings = {"config": config, "prompt": self.prompt, "truncate_dim": truncate_dim, **self.input_settings}
        dim = _find_dim(self.folder, self.model, truncate_dim)
        super().__init__(
            self.model,
            modality=self.modality,
            space=Space(self.folder.name, dim, self.folder.backbone),
            preprocessing=settings,
            logit_scale=_read_logit_scale(self.model),
        )
        if not self.folder.backbone:
            self.space = Space(self.folder.name, dim, f"weights:{self.weights_hash}-{config}")

    @property
    def input_settings(self) -> dict[str, object]:
        """What shapes the inputs beside the model's files, the prompt and the dimension."""
        return {}

    @property
    def weights_hash(self) -> str:
        """Hash of all weights of the model, those of other modalities included."""
        is_shared = self._shared is not None and self.module is self._shared.module
        return self._shared.weights_hash if self._shared is not None and is_shared else super().weights_hash

    def collate(self, inputs: Sequence[object]) -> dict[str, object]:
        """Run the model's processor on a batch of inputs of sentence-transformers."""
        options = {"processing_kwargs": {"video": {"do_sample_frames": False}}} if self.modality == "video" else {}
        with explain_errors(f"{self.folder.path}: cannot process {self.modality}"):
            batch = self.model.preprocess(list(inputs), prompt=self.prompt, **options)
        return {name: each.to(self.device) if isinstance(each, torch.Tensor) else each for name, each in batch.items()}

    def features(self, batch: dict[str, object]) -> torch.Tensor:
        """Compute (n, d) features of a batch, truncated, not of norm 1."""
        return self.module(dict(batch))["sentence_embedding"][:, : self.truncate_dim]  # modules add to their input

    def copy(self) -> Self:
        twin = super().copy()
        assert isinstance(twin.module, SentenceTransformer)
        twin.model = twin.module
        return twin


class SentenceTransformerTextEncoder(SentenceTransformerEncoder):
    """The text encoder of a model; see `SentenceTransformerEncoder`."""

    modality = "text"

    def preprocess(self, sample: str) -> dict[str, str]:
        return convert_text(sample)


class SentenceTransformerImageEncoder(SentenceTransformerEncoder):
    """The image encoder of a model; see `SentenceTransformerEncoder`."""

    modality = "image"

    def preprocess(self, sample: np.ndarray) -> PIL.Image.Image:
        return convert_image(sample)


class SentenceTransformerSoundEncoder(SentenceTransformerEncoder):
    """The audio encoder of a model: one channel at the processor's sample rate; see `SentenceTransformerEncoder`."""

    modality = "sound"

    @property
    def input_settings(self) -> dict[str, object]:
        return {"rate": self.rate}

    @functools.cached_property
    def rate(self) -> int:
        """The sample rate in Hz that the model's processor takes; raises `BadInput` if it states none."""
        processor = self.model.processor
        for part in (getattr(processor, "feature_extractor", None), processor):
            rate = getattr(part, "sampling_rate", None)
            if isinstance(rate, int) and rate > 0:
                return rate
        raise BadInput(f"{self.folder.path}: the model's processor states no sampling_rate of its audio")

    def preprocess(self, sample: samples.AudioSample) -> dict[str, object]:
        return convert_sound(sample, self.rate)


class SentenceTransformerVideoEncoder(SentenceTransformerEncoder):
    """The video encoder of a model; see `SentenceTransformerEncoder`.

    Args:
        n_frames: number of evenly spaced frames that it takes.
    """

    modality = "video"

    def __init__(
        self,
        model: str = "",
        *,
        shared: Encoder | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        n_frames: int = N_FRAMES,
    ) -> None:
        if n_frames < 1:
            raise BadOption(f"n_frames: expected at least 1, got {n_frames}")
        self.n_frames = n_frames
        super().__init__(model, shared=shared, prompt=prompt, prompt_name=prompt_name, truncate_dim=truncate_dim)

    @property
    def input_settings(self) -> dict[str, object]:
        return {"n_frames": self.n_frames}

    def preprocess(self, sample: samples.VideoSample) -> dict[str, object]:
        return convert_video(sample, self.n_frames)


def load_model(folder: ModelFolder) -> SentenceTransformer:
    """Load a model in float32 on the CPU, from its folder alone: no network, no pickle, no code of a repository.

    Raises:
        BadInput: it cannot be loaded.
        WeightsMismatch: weights are missing, of another shape, or not finite.
    """
    for path in sorted(folder.path.rglob("*.safetensors")):
        tensors.read_weights(path)
    with collect_reports() as reports, explain_errors(f"{folder.path}: not a valid sentence-transformers model"):
        model = SentenceTransformer(
            str(folder.path),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    for line in "\n".join(reports).splitlines():
        if any(mark in line for mark in RANDOM_WEIGHTS):
            name = line.split("|")[0].strip()
            raise errors.WeightsMismatch(
                f"{folder.path}: the weights do not fit config.json: {name} is missing or of another shape"
            )
    return model.eval()


@contextlib.contextmanager
def explain_errors(what: str) -> Iterator[None]:
    """Turn any exception of sentence-transformers and its packages, each of which raises its own, into `BadInput`."""
    try:
        yield
    except AnybindError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise BadInput(f"{what}: {reason}") from error


@contextlib.contextmanager
def collect_reports() -> Iterator[list[str]]:
    """Collect what transformers logs, such as weights that do not fit a model; show no logs and no progress bars."""
    reports: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: reports.append(record.getMessage())
    packages = [logging.getLogger(name) for name in ("transformers", "sentence_transformers")]
    states = [(package, package.level, package.handlers, package.propagate) for package in packages]
    shows_progress = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    for package in packages:
        package.setLevel(logging.WARNING)
        package.handlers, package.propagate = [handler], False
    try:
        yield reports
    finally:
        for package, level, handlers, propagate in states:
            package.setLevel(level)
            package.handlers, package.propagate = handlers, propagate
        if shows_progress:
            transformers.logging.enable_progress_bar()


def _choose_prompt(model: SentenceTransformer, prompt: str | None, name: str | None) -> str:
    """Return the prompt of an encoder: given, of a name, or the model's default; empty for none."""
    if prompt is not None and name is not None:
        raise BadOption("expected either prompt or prompt_name, got both")
    name = name or model.default_prompt_name
    if prompt is not None or name is None:
        return prompt or ""
    if name not in model.prompts:
        raise BadOption(f"prompt_name: no prompt {name!r}{errors.suggest_names(name, model.prompts)}")
    return model.prompts[name] or ""


def _find_dim(folder: ModelFolder, model: SentenceTransformer, truncate_dim: int | None) -> int:
    """Return the dimension of the embeddings; raise `BadOption` for a truncation to more than the model has."""
    with model.truncate_embeddings(None):
        dim = model.get_embedding_dimension()
    if dim is None:
        raise BadInput(f"{folder.path}: the model does not state the dimension of its embeddings")
    if truncate_dim is not None and not 1 <= truncate_dim <= dim:
        raise BadOption(f"truncate_dim: expected 1 to {dim}, got {truncate_dim}")
    return dim if truncate_dim is None else truncate_dim


def _read_logit_scale(model: SentenceTransformer) -> float | None:
    """Read the scale of CLIP's softmax; None for other models, such as those trained with a sigmoid."""
    inner = model.transformers_model
    scale, bias = getattr(inner, "logit_scale", None), getattr(inner, "logit_bias", None)
    if not isinstance(scale, torch.Tensor) or scale.numel() != 1 or bias is not None:
        return None
    return float(scale.detach().exp())
