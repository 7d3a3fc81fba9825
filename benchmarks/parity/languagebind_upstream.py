"""LanguageBind: upstream's side of the comparison, run in an environment with the package `languagebind`.

Upstream's processors and models are used. Their random choices (windows of sound, mirrored videos) are fixed. The
models have the published widths and fewer layers, to limit the size of six checkpoints.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import shutil
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torchvision.transforms.functional
from safetensors.torch import save_file

RATE = 16_000
LAYERS = 4
PACKAGES = (
    *("languagebind", "numpy", "opencv-python-headless", "peft"),
    *("pytorchvideo", "torch", "torchaudio", "torchvision", "transformers"),
)
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "hidden_act": "gelu"}
VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "patch_size": 14, "image_size": 224,
    "hidden_act": "gelu", "lora_r": 0,
}  # fmt: skip
LORA = {"lora_r": 16, "lora_alpha": 16, "lora_dropout": 0.0}
VIDEOS = {"num_frames": 8, "add_time_attn": True, "video_decode_backend": "opencv"}
SOUNDS = {
    "num_mel_bins": 112, "target_length": 1036, "audio_sample_rate": RATE, "audio_mean": -4.2677393,
    "audio_std": 4.5689974,
}  # fmt: skip
CHECKPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Audio_FT": ("audio", {**SOUNDS, **LORA}),
    "Depth": ("depth", {"max_depth": 10, **LORA}),
    "Thermal": ("thermal", LORA),
    "Image": ("image", {}),
    "Video_FT": ("video", VIDEOS),
    "Video_V1.5_FT": ("video", {**VIDEOS, "clip_type": "vl_new"}),
}
"""Upstream's modality and additional configuration of each checkpoint."""


def main() -> None:
    """Write the checkpoints, and upstream's tensors of the inputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--layers", type=int, default=LAYERS, help="transformer layers [default: %(default)s; published: 24, text 12]"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    import_upstream()
    tensors: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for name, (modality, settings) in CHECKPOINTS.items():
            model = make_random_model(modality, settings, options.layers, options.folder)
            save_checkpoint(model, options.folder / f"LanguageBind_{name}", options.folder)
            for label, inputs in preprocess_inputs(name, modality, model.config, options.folder):
                vectors = [model.visual_projection(model.vision_model(each[None])[1]) for each in inputs]
                add_tensors(tensors, label, inputs, vectors)
            if name == "Image":
                texts = (options.folder / "texts.txt").read_text(encoding="utf-8").split("\n")
                tokens = [tokenize(text, options.folder) for text in texts]
                vectors = [model.text_projection(model.text_model(**each)[1]) for each in tokens]
                add_tensors(tensors, "text", [each["input_ids"][0] for each in tokens], vectors)
    save_file(tensors, options.folder / "upstream.safetensors")
    (options.folder / "versions.json").write_text(json.dumps({package: version(package) for package in PACKAGES}))


def add_tensors(
    tensors: dict[str, torch.Tensor], name: str, inputs: Sequence[torch.Tensor], vectors: Iterable[torch.Tensor]
) -> None:
    """Add the inputs and embeddings of an encoder."""
    tensors[f"{name}.preprocessed"] = torch.stack(list(inputs))
    tensors[f"{name}.embedding"] = torch.nn.functional.normalize(torch.cat(list(vectors)), dim=-1)


def import_upstream() -> None:
    """Import `languagebind` with the current torchvision, and without decord, which is not used here."""
    grayscale = torchvision.transforms.functional.rgb_to_grayscale
    replace_module("torchvision.transforms.functional_tensor", rgb_to_grayscale=grayscale)
    replace_module("decord", VideoReader=None, cpu=None, bridge=types.SimpleNamespace(set_bridge=lambda _: None))
    replace_module("pytorchvideo.data.encoded_video", EncodedVideo=None)
    importlib.import_module("languagebind")


def replace_module(name: str, **attributes: Any) -> None:
    """Register a module with these attributes in place of a missing one."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(attributes)
    sys.modules[name] = module


def make_random_model(modality: str, settings: dict[str, Any], layers: int, folder: Path) -> Any:
    """Return a random model; all modalities have the same text tower, as in the published models."""
    package = importlib.import_module("languagebind")
    vocabulary_size = len(json.loads((folder / "vocab.json").read_text()))
    text = {**TEXT, "num_hidden_layers": layers, "vocab_size": vocabulary_size, "bos_token_id": vocabulary_size - 2}
    vision = {**VISION, "num_hidden_layers": layers, **settings}
    config = package.config_dict[modality](
        text_config={**text, "eos_token_id": vocabulary_size - 1}, vision_config=vision, projection_dim=768
    )
    for each in (config.text_config, config.vision_config):
        each._attn_implementation = "sdpa"
    model = package.model_dict[modality](config).eval()
    for seed, each in enumerate((model.text_model, model.text_projection, model.vision_model, model.visual_projection)):
        randomise_weights(each, seed)
    model.logit_scale.fill_(3.0)
    if modality == "audio":
        # transformers' embedding layer rejects inputs that are not square; the package's layer for videos computes the
        # same without this check.
        embeddings_class = importlib.import_module("languagebind.video.modeling_video").CLIPVisionEmbeddings
        embeddings = model.vision_model.embeddings
        embeddings.forward = functools.partial(embeddings_class.forward, embeddings)
    return model


def randomise_weights(module: torch.nn.Module, seed: int) -> None:
    """Draw random weights, also for LoRA and layer norms: every parameter has an effect."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.named_parameters()):
        scale = 0.2 if tensor.ndim < 2 else 1.5 * tensor[0].numel() ** -0.5
        tensor.copy_(torch.randn(tensor.shape, generator=random) * scale)
        if "norm" in name and name.endswith("weight"):
            tensor.add_(1)


def save_checkpoint(model: Any, target: Path, folder: Path) -> None:
    """Write a checkpoint in the hub's layout."""
    target.mkdir(exist_ok=True)
    torch.save(model.state_dict(), target / "pytorch_model.bin")
    model.config.to_json_file(target / "config.json", use_diff=False)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(folder / name, target / name)


def preprocess_inputs(name: str, modality: str, config: Any, folder: Path) -> list[tuple[str, list[torch.Tensor]]]:
    """Preprocess the inputs by the package's processor; return them by row label."""
    processing = importlib.import_module(f"languagebind.{modality}.processing_{modality}")
    transform = getattr(processing, f"get_{modality}_transform")(config)
    if modality == "audio":
        paths = sorted((folder / "sounds").iterdir())
        return [("sound", [preprocess_sound(processing, transform, path) for path in paths])]
    if modality == "video":
        steps = [each for each in transform.transforms if "Flip" not in type(each).__name__]
        preprocess_video = functools.partial(processing.load_and_transform_video, transform=type(transform)(steps))
        videos = [f"{path}/%04d.png" for path in sorted((folder / "videos").iterdir())]
        return [(f"video {name}", [preprocess_video(video, video_decode_backend="opencv") for video in videos])]
    read = getattr(processing, f"load_and_transform_{modality}")
    paths = sorted((folder / ("depth" if modality == "depth" else "images")).iterdir())
    inputs = [(modality, [read(str(path), transform) for path in paths])]
    if modality == "image":
        for each in transform.transforms:
            if "Resize" in type(each).__name__:
                each.antialias = False  # as torchvision 0.14, which upstream pins, scales tensors
        inputs.append(("image not antialiased", [read(str(path), transform) for path in paths]))
    return inputs


def preprocess_sound(processing: Any, transform: Callable[..., torch.Tensor], path: Path) -> torch.Tensor:
    """Preprocess a recording with the first, middle and last window in place of random ones."""
    fractions = iter((0.0, 0.5, 1.0))

    def choice(positions: Any) -> Any:
        fraction = next(fractions)
        return positions[len(positions) // 2 if fraction == 0.5 else round(fraction * (len(positions) - 1))]

    with mock.patch.object(processing.np.random, "choice", choice):
        return transform((torch.from_numpy(np.load(path, allow_pickle=False)), RATE))


def tokenize(text: str, folder: Path) -> Any:
    """Tokenize a text by the package's tokenizer."""
    package = importlib.import_module("languagebind")
    tokenizer = package.LanguageBindImageTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return tokenizer(text, max_length=77, padding="max_length", truncation=True, return_tensors="pt")


if __name__ == "__main__":
    main()
