"""The binding `mteb:MODEL`: each modality of a model of MTEB's registry, or of a folder, as an encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import datasets
import mteb
import numpy as np
import PIL.Image
import torch
from mteb._create_dataloaders import _custom_collate_fn
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

from anybind import AnybindError, Binding, Space, normalize
from anybind.plugin import BadInput, BadOption, Encoder, errors, samples, tables, tensors
from anybind_bench.mteb.metadata import MTEB_NAMES, get_column

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false

MODALITIES = {name: name for name in ("text", "image", "video")} | {column: name for name, column in MTEB_NAMES.items()}
"""Modality by MTEB's name."""
SAFE_LOADERS = (
    "ALIGNModel", "BLIPModel", "CLIPModel", "ClapZeroShotWrapper", "DINOModel", "InstructSentenceTransformerModel",
    "PEAudioVisualWrapper", "RandomEncoderBaseline", "SentenceTransformerEncoderWrapper", "SiglipModelWrapper",
    "Wav2Vec2AudioWrapper", "WavlmWrapper", "WhisperAudioWrapper", "XCLIPModel",
)  # fmt: skip
"""MTEB's loaders that read weights by transformers or sentence-transformers alone: safetensors, or
`torch.load(weights_only=True)`. Others run the code of a model's repository, read pickles, or call a service."""
TASK = TaskMetadata(
    name="anybind", description="embeddings for anybind", type="STS", main_score="none", eval_langs=["eng-Latn"],
    dataset={"path": "none", "revision": "1"},
)  # fmt: skip
"""The task passed to models: embeddings do not depend on it, unless a model has instructions."""
ENCODE_BATCH = 32


def mteb_binding(model: str) -> Binding:
    """Return a binding of a model's encoders, one for each modality that MTEB declares; no weights are loaded.

    Args:
        model: a name of MTEB's registry, such as `sentence-transformers/all-MiniLM-L6-v2`, whose weights are downloaded
            at first use, or a folder saved by sentence-transformers.

    Raises:
        BadOption: no model, or one that cannot be loaded without running the code of its repository.
        UnknownName: no such model.
    """
    if not model:
        raise BadOption("expected a model after mteb:, one of mteb:ORG/MODEL, mteb:DIR")
    names = ["text"] if Path(model).is_dir() else [MODALITIES[name] for name in find_model(model).modalities]
    encoders = {name: Binding.configure(f"mteb-{name}", model=model) for name in names}
    return Binding(name=f"mteb:{model}", summary="encoders of one model of MTEB", encoders=encoders)


def find_model(name: str) -> ModelMeta:
    """Find a model of MTEB's registry that is safe to load.

    Raises:
        UnknownName: no such model.
        BadOption: its embeddings are not single vectors, or its loader runs other code.
    """
    try:
        meta = mteb.get_model_meta(name)
    except KeyError as error:
        raise errors.UnknownName(" ".join(str(error.args[0]).split())) from error
    loader = getattr(meta.loader, "func", meta.loader)
    loader_name = getattr(loader, "__name__", "none")
    if meta.model_type != ["dense"]:
        raise BadOption(f"{name}: expected a dense encoder, got {', '.join(meta.model_type)}")
    if loader_name not in SAFE_LOADERS or _has_remote_code(meta.loader_kwargs):
        reason = "the code of its repository" if _has_remote_code(meta.loader_kwargs) else f"MTEB's {loader_name}"
        raise BadOption(f"{name}: not loaded: it needs {reason}, which may run code or pickles of others")
    if meta.similarity_fn_name not in (None, ScoringFunction.COSINE):
        raise BadOption(f"{name}: expected similarity by cosine, got {meta.similarity_fn_name.value}")
    return meta


def _has_remote_code(options: object) -> bool:
    """Return whether loader options, or options in them, allow the code of a repository."""
    if not isinstance(options, dict):
        return False
    return bool(options.get("trust_remote_code")) or any(map(_has_remote_code, options.values()))


@functools.lru_cache(maxsize=2)  # the encoders of a binding share one model
def load_model(name: str, device: str) -> Any:
    """Load a model of the registry, or of a folder saved by sentence-transformers, on a torch device.

    Raises:
        BadOption, UnknownName: see `find_model`.
        BadInput: the weights are missing or damaged, or packages are.
    """
    try:
        if Path(name).is_dir():
            return SentenceTransformerEncoderWrapper(
                name, device=device, local_files_only=True, trust_remote_code=False
            )
        return find_model(name).load_model(device=device)
    except AnybindError:
        raise
    except Exception as error:  # each library raises its own on missing and damaged files
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"mteb:{name}: cannot be loaded ({type(error).__name__}: {reason})") from error


class MtebModelEncoder(Encoder):
    """One modality of a model of MTEB. Audio is resampled and video sampled by the model's own loader."""

    def __init__(self, modality: str, model: str) -> None:
        self.modality, self.name = modality, model
        self._model = load_model(model, "cpu")
        module = getattr(self._model, "model", None)
        self._weights_hash = (
            tensors.hash_state(module.state_dict())
            if isinstance(module, torch.nn.Module)
            else tables.hash_settings([model, self._model.mteb_model_meta.revision])
        )
        dim = self.encode([make_probe(modality)]).shape[1]  # metadata give several, or none
        self.space = Space(f"mteb:{model}", dim, f"weights:{self.weights_hash}")

    @property
    def weights_hash(self) -> str:
        """Hash of the weights; for a model without torch weights, of its name and revision."""
        return self._weights_hash

    @property
    def preprocessing(self) -> dict[str, object]:
        meta = self._model.mteb_model_meta
        return {"mteb": mteb.__version__, "model": self.name, "revision": meta.revision, "modality": self.modality}

    def to(self, device: str) -> Self:
        self._model = load_model(self.name, device)
        return self

    def preprocess(self, sample: object) -> object:
        """Convert a sample to the form of MTEB's columns."""
        convert: dict[str, Callable[[Any], object]] = {
            "image": PIL.Image.fromarray,
            "sound": lambda clip: {"array": clip.mono().samples[0], "sampling_rate": clip.rate},
            "video": lambda video: VideoFrameDecoder(cast("samples.VideoSample", video)),
        }
        return convert[self.modality](sample) if self.modality in convert else sample

    def encode(self, inputs: Sequence[object]) -> np.ndarray:
        column = get_column(self.modality)
        # A transform keeps samples as objects; columns of `datasets` would be encoded and decoded again.
        dataset = datasets.Dataset.from_dict({column: list(range(len(inputs)))})
        dataset.set_transform(lambda rows: {column: [inputs[row] for row in rows[column]]})
        loader: Any = torch.utils.data.DataLoader(cast("Any", dataset), ENCODE_BATCH, collate_fn=_custom_collate_fn)
        rows = self._model.encode(
            loader, task_metadata=TASK, hf_split="test", hf_subset="default", show_progress_bar=False
        )
        if isinstance(rows, torch.Tensor):
            rows = rows.detach().float().cpu().numpy()
        return normalize(np.asarray(rows, np.float32))


class VideoFrameDecoder:
    """The frames of a video, as far as MTEB's collators use the decoder of torchcodec."""

    def __init__(self, video: samples.VideoSample) -> None:
        self.video = video

    @functools.cached_property
    def metadata(self) -> SimpleNamespace:
        """Number of frames, counted, and the time of the end in seconds."""
        times = [frame.time_us for frame in self.video.frames()]
        step_us = 1e6 / self.video.fps if self.video.fps else 0
        return SimpleNamespace(
            num_frames=len(times), end_stream_seconds=(times[-1] + step_us) / 1e6, average_fps=self.video.fps
        )

    def get_frames_at(self, indices: Sequence[int]) -> SimpleNamespace:
        """Decode frames by number: `data`, a tensor (n, 3, height, width) of uint8."""
        chosen = set(indices)
        frames = {number: frame.rgb() for number, frame in enumerate(self.video.frames()) if number in chosen}
        pixels = np.stack([frames[number] for number in indices]).transpose(0, 3, 1, 2)
        return SimpleNamespace(data=torch.from_numpy(np.ascontiguousarray(pixels)))


def make_probe(modality: str) -> object:
    """Make a preprocessed sample: the text `a`, a black image, a second of silence, or a black video of two seconds."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    frames = [SimpleNamespace(time_us=125_000 * number, rgb=lambda: pixels) for number in range(16)]
    video = cast("samples.VideoSample", SimpleNamespace(fps=8.0, frames=lambda: frames))
    return {
        "text": "a",
        "image": PIL.Image.fromarray(pixels),
        "sound": {"array": np.zeros(16_000, np.float32), "sampling_rate": 16_000},
        "video": VideoFrameDecoder(video),
    }[modality]


def load_text_encoder(model: str) -> MtebModelEncoder:
    """Load the text encoder of a model; see `load_model` for errors."""
    return MtebModelEncoder("text", model)


def load_image_encoder(model: str) -> MtebModelEncoder:
    """Load the image encoder of a model; see `load_model` for errors."""
    return MtebModelEncoder("image", model)


def load_sound_encoder(model: str) -> MtebModelEncoder:
    """Load the audio encoder of a model; see `load_model` for errors."""
    return MtebModelEncoder("sound", model)


def load_video_encoder(model: str) -> MtebModelEncoder:
    """Load the video encoder of a model; see `load_model` for errors."""
    return MtebModelEncoder("video", model)
