"""LanguageBind: upstream's side of the comparison, run in an environment with the package `languagebind`.

Its own processors and models do the work. What they draw at random (parts of sounds, mirrored films) is fixed from
outside. The models have the published widths and fewer layers, so that six of them fit beside one another.
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
FILMS = {"num_frames": 8, "add_time_attn": True, "video_decode_backend": "opencv"}
SOUNDS = {
    "num_mel_bins": 112, "target_length": 1036, "audio_sample_rate": RATE, "audio_mean": -4.2677393,
    "audio_std": 4.5689974,
}  # fmt: skip
CHECKPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Audio_FT": ("audio", {**SOUNDS, **LORA}),
    "Depth": ("depth", {"max_depth": 10, **LORA}),
    "Thermal": ("thermal", LORA),
    "Image": ("image", {}),
    "Video_FT": ("video", FILMS),
    "Video_V1.5_FT": ("video", {**FILMS, "clip_type": "vl_new"}),
}
"""The part of the package that each is of, and what its configuration says besides sizes."""


def main() -> None:
    """Make the checkpoints, and upstream's tensors of the inputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=LAYERS, help="of every tower; the published ones have 24 and 12")
    options = parser.parse_args()
    torch.set_num_threads(1)
    import_upstream()
    tensors: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for name, (part, settings) in CHECKPOINTS.items():
            model = random_model(part, settings, options.layers, options.folder)
            save_checkpoint(model, options.folder / f"LanguageBind_{name}", options.folder)
            for shown, prepared in prepared_inputs(name, part, model.config, options.folder):
                vectors = [model.visual_projection(model.vision_model(each[None])[1]) for each in prepared]
                add(tensors, shown, prepared, vectors)
            if name == "Image":
                words = (options.folder / "words.txt").read_text(encoding="utf-8").split("\n")
                tokens = [tokens_of(text, options.folder) for text in words]
                vectors = [model.text_projection(model.text_model(**each)[1]) for each in tokens]
                add(tensors, "text", [each["input_ids"][0] for each in tokens], vectors)
    save_file(tensors, options.folder / "upstream.safetensors")
    (options.folder / "versions.json").write_text(json.dumps({package: version(package) for package in PACKAGES}))


def add(
    tensors: dict[str, torch.Tensor], name: str, prepared: Sequence[torch.Tensor], vectors: Iterable[torch.Tensor]
) -> None:
    """Keep what went into a tower and what came out."""
    tensors[f"{name}.preprocessed"] = torch.stack(list(prepared))
    tensors[f"{name}.embedding"] = torch.nn.functional.normalize(torch.cat(list(vectors)), dim=-1)


def import_upstream() -> None:
    """Import `languagebind` on today's torchvision, and without decord, which nothing here plays films by."""
    grayscale = torchvision.transforms.functional.rgb_to_grayscale
    stand_in("torchvision.transforms.functional_tensor", rgb_to_grayscale=grayscale)
    stand_in("decord", VideoReader=None, cpu=None, bridge=types.SimpleNamespace(set_bridge=lambda _: None))
    stand_in("pytorchvideo.data.encoded_video", EncodedVideo=None)
    importlib.import_module("languagebind")


def stand_in(name: str, **held: Any) -> None:
    """Put a module that holds these names in the place of one that is not there."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(held)
    sys.modules[name] = module


def random_model(part: str, settings: dict[str, Any], layers: int, folder: Path) -> Any:
    """A model with the same text tower whatever its part, as the published ones have."""
    package = importlib.import_module("languagebind")
    words = len(json.loads((folder / "vocab.json").read_text()))
    text = {**TEXT, "num_hidden_layers": layers, "vocab_size": words, "bos_token_id": words - 2}
    vision = {**VISION, "num_hidden_layers": layers, **settings}
    config = package.config_dict[part](
        text_config={**text, "eos_token_id": words - 1}, vision_config=vision, projection_dim=768
    )
    for each in (config.text_config, config.vision_config):
        each._attn_implementation = "sdpa"
    model = package.model_dict[part](config).eval()
    for seed, each in enumerate((model.text_model, model.text_projection, model.vision_model, model.visual_projection)):
        randomise(each, seed)
    model.logit_scale.fill_(3.0)
    if part == "audio":
        # transformers' embedding, which this part uses, refuses what is not square; the one that the package has for
        # films computes the same without a look at the sides.
        own = importlib.import_module("languagebind.video.modeling_video").CLIPVisionEmbeddings
        embeddings = model.vision_model.embeddings
        embeddings.forward = functools.partial(own.forward, embeddings)
    return model


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Weights that leave no part of the network without effect, LoRA's zeros and layer norms among them."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.named_parameters()):
        spread = 0.2 if tensor.ndim < 2 else 1.5 * tensor[0].numel() ** -0.5
        tensor.copy_(torch.randn(tensor.shape, generator=random) * spread)
        if "norm" in name and name.endswith("weight"):
            tensor.add_(1)


def save_checkpoint(model: Any, target: Path, folder: Path) -> None:
    """The files that the hub has of a model."""
    target.mkdir(exist_ok=True)
    torch.save(model.state_dict(), target / "pytorch_model.bin")
    model.config.to_json_file(target / "config.json", use_diff=False)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(folder / name, target / name)


def prepared_inputs(name: str, part: str, config: Any, folder: Path) -> list[tuple[str, list[torch.Tensor]]]:
    """What the package's processor makes of the inputs, by the name that its rows have."""
    processing = importlib.import_module(f"languagebind.{part}.processing_{part}")
    transform = getattr(processing, f"get_{part}_transform")(config)
    if part == "audio":
        paths = sorted((folder / "sounds").iterdir())
        return [("sound", [prepared_sound(processing, transform, path) for path in paths])]
    if part == "video":
        kept = [each for each in transform.transforms if "Flip" not in type(each).__name__]
        play = functools.partial(processing.load_and_transform_video, transform=type(transform)(kept))
        films = [f"{path}/%04d.png" for path in sorted((folder / "films").iterdir())]
        return [(f"video {name}", [play(film, video_decode_backend="opencv") for film in films])]
    read = getattr(processing, f"load_and_transform_{part}")
    paths = sorted((folder / ("depth" if part == "depth" else "pictures")).iterdir())
    prepared = [(part, [read(str(path), transform) for path in paths])]
    if part == "image":
        for each in transform.transforms:
            if "Resize" in type(each).__name__:
                each.antialias = False  # as torchvision 0.14, which upstream pins, scales tensors
        prepared.append(("image not antialiased", [read(str(path), transform) for path in paths]))
    return prepared


def prepared_sound(processing: Any, transform: Callable[..., torch.Tensor], path: Path) -> torch.Tensor:
    """The package draws one place of each third; here the first, the middle one and the last."""
    shares = iter((0.0, 0.5, 1.0))

    def choice(places: Any) -> Any:
        share = next(shares)
        return places[len(places) // 2 if share == 0.5 else round(share * (len(places) - 1))]

    with mock.patch.object(processing.np.random, "choice", choice):
        return transform((torch.from_numpy(np.load(path, allow_pickle=False)), RATE))


def tokens_of(text: str, folder: Path) -> Any:
    """A text as the package's processor has it tokenised."""
    package = importlib.import_module("languagebind")
    made = package.LanguageBindImageTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return made(text, max_length=77, padding="max_length", truncation=True, return_tensors="pt")


if __name__ == "__main__":
    main()
