"""Tiny models of transformers with random weights, in folders that sentence-transformers loads."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import decoders, models, pre_tokenizers, processors

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 48}
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}"
    "{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif part.type == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
)
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3},
}
OPEN_CLIP_IMAGES = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def make_open_clip(folder: Path, preprocess: Any = OPEN_CLIP_IMAGES, **changes: Any) -> str:
    """Write a model of open_clip, and return its binding; `changes` are keys, `section__key` of a section."""
    import open_clip

    config = copy.deepcopy(OPEN_CLIP)
    for key, value in changes.items():
        section, _, name = key.partition("__")
        config.update({key: value}) if not name else config[section].update({name: value})
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CLIP(**copy.deepcopy(config))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    settings = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return f"open_clip:local-dir:{folder}"


def make_tokenizer(*special: str, max_length: int = 64) -> Any:
    """Return a tokenizer of bytes, with these special tokens; the first two begin and end a text."""
    names = ("<|im_start|>", "<|im_end|>", *special)
    tokenizer = tokenizers.Tokenizer(models.BPE({letter: number for number, letter in enumerate(LETTERS)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(names))
    ids = [(name, tokenizer.token_to_id(name)) for name in names[:2]]
    if not special:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{names[0]} $A {names[1]}", special_tokens=ids)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=names[0],
        eos_token=names[1],
        pad_token=names[1],
        model_max_length=max_length,
    )


def _randomise(model: torch.nn.Module, seed: int) -> None:
    """Fill the weights with larger random numbers than initialisations, so that inputs matter."""
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.2 * parameter[0].numel() ** -0.5)
        elif "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)


def make_clip(folder: Path, *, seed: int = 0, side: int = 32, dim: int = 16) -> Path:
    """Write a CLIP in the layout of transformers alone, without `modules.json`."""
    tokenizer = make_tokenizer()
    tokens = {"bos_token_id": len(LETTERS), "eos_token_id": len(LETTERS) + 1, "pad_token_id": len(LETTERS) + 1}
    text = {**LAYERS, "vocab_size": len(tokenizer), "max_position_embeddings": 64, **tokens}
    vision = {**LAYERS, "patch_size": 8, "image_size": side}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))
    _randomise(model, seed)
    square = {"height": side, "width": side}
    image_processor = transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square)
    model.save_pretrained(folder)
    transformers.CLIPProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder


def make_siglip(folder: Path) -> Path:
    """Write a SigLIP, as which SigLIP 2 is published too, in the layout of transformers alone."""
    tokenizer = make_tokenizer()
    text = {**LAYERS, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": len(LETTERS) + 1}
    tokens = {"bos_token_id": len(LETTERS), "eos_token_id": len(LETTERS) + 1}
    vision = {**LAYERS, "patch_size": 8, "image_size": 32}
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text | tokens, vision_config=vision))
    _randomise(model, 3)
    model.save_pretrained(folder)
    image_processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    transformers.SiglipProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder


def make_clap(folder: Path) -> Path:
    """Write a CLAP, of text and audio at 8 kHz, saved by sentence-transformers."""
    tokenizer = make_tokenizer()
    text = {**LAYERS, "vocab_size": len(tokenizer), "max_position_embeddings": 400, "pad_token_id": len(LETTERS) + 1}
    audio = {
        "spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4], "patch_embeds_hidden_size": 8,
        "depths": [1, 1], "num_attention_heads": [1, 2], "hidden_size": 16, "window_size": 4, "num_classes": 2,
        "enable_fusion": False,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    model = transformers.ClapModel(config)
    _randomise(model, 1)
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=80, max_length_s=1, fft_window_size=256, frequency_max=4000,
        padding="repeatpad", truncation="rand_trunc",
    )  # fmt: skip
    model.save_pretrained(folder / "parts")
    transformers.ClapProcessor(extractor, tokenizer).save_pretrained(folder / "parts")
    SentenceTransformer(str(folder / "parts"), device="cpu").save(str(folder / "clap"), create_model_card=False)
    return folder / "clap"


def make_qwen3_vl(folder: Path, *, truncate_dim: int | None = None) -> Path:
    """Write a Qwen3-VL of text, image and video, with prompts, last-token pooling and normalisation."""
    tokenizer = make_tokenizer(*VISION_TOKENS, max_length=512)
    numbers = {name: tokenizer.convert_tokens_to_ids(name) for name in VISION_TOKENS}
    config = transformers.Qwen3VLConfig(
        text_config={
            **LAYERS, "vocab_size": len(tokenizer), "num_key_value_heads": 2, "head_dim": 16,
            "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True},
            "pad_token_id": len(LETTERS) + 1,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
        },
        image_token_id=numbers["<|image_pad|>"], video_token_id=numbers["<|video_pad|>"],
        vision_start_token_id=numbers["<|vision_start|>"], vision_end_token_id=numbers["<|vision_end|>"],
    )  # fmt: skip
    model = transformers.Qwen3VLModel(config)
    _randomise(model, 2)
    sizes = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64 * 8}
    options = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": sizes}
    processor = transformers.Qwen3VLProcessor(
        transformers.Qwen2VLImageProcessor(**options),
        tokenizer,
        transformers.Qwen3VLVideoProcessor(**options, cap_pixels_per_frame=True),
        chat_template=CHAT_TEMPLATE,
    )
    parts = folder / "parts"
    model.save_pretrained(parts)
    processor.save_pretrained(parts)
    modules = [Transformer(str(parts)), Pooling(32, "lasttoken"), Normalize()]
    prompts = {"query": "Find this: ", "describe": "Represent the input."}
    SentenceTransformer(
        modules=modules, device="cpu", prompts=prompts, default_prompt_name="describe", truncate_dim=truncate_dim
    ).save(str(folder / "qwen3-vl"), create_model_card=False)
    return folder / "qwen3-vl"
