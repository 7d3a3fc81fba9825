"""`save_sentence_transformer`: the text and image encoders of a binding for stock sentence-transformers."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

from anybind import Binder
from anybind.plugin import BadInput, BadOption, TorchEncoder, errors, export, files
from anybind_sentence_transformers.clip_layout import convert_encoder, describe_encoder
from anybind_sentence_transformers.encoders import collect_reports
from anybind_sentence_transformers.inputs import convert_image, convert_text
from anybind_sentence_transformers.model_files import TRANSFORMER_CONFIG

TOLERANCE = 1e-5
"""Largest difference of a cosine similarity from 1 between an embedding and that of the saved model."""
RESAMPLING = {"bilinear": 2, "bicubic": 3}
"""Pillow's numbers of the filters."""
TEXTS = ("a photo of a cat", "Two dogs, playing in the snow!", "naïve café 日本 42", "x")
ADVICE = "as_sentence_transformer(binder) wraps any binding, without saving it"


@dataclass(frozen=True)
class SavedModel:
    """A folder of `save_sentence_transformer`.

    Attributes:
        folder: the folder.
        modalities: the modalities that it embeds.
        left_out: modalities of the binding for which sentence-transformers has no modules.
        max_difference: largest difference from 1 of the cosine similarity between an embedding of the binding and of
            the saved model, over sample texts and images.
    """

    folder: Path
    modalities: tuple[str, ...]
    left_out: tuple[str, ...]
    max_difference: float


def save_sentence_transformer(binder: Binder, folder: str | os.PathLike[str]) -> SavedModel:
    """Save the text and image encoders of a binding as a folder that `SentenceTransformer(folder)` loads.

    The folder needs sentence-transformers alone, not anybind. Expressible are CLIP's two encoders with its tokenizer,
    such as those of most open_clip models with vision transformers, and the encoders of `sentence-transformers:MODEL`.
    The saved model is loaded and compared with the binding before the folder appears.

    Texts are not repaired and unescaped as by open_clip (`&amp;`), and the central crop of an image of odd excess is
    rounded down: such embeddings differ slightly.

    Args:
        binder: the binding.
        folder: the folder, which must not exist.

    Raises:
        UnsupportedBackend: an encoder cannot be expressed, or the saved model gives other embeddings.
        BadOption: the binding has no text and image encoder.
        BadInput: the folder exists or cannot be written.
    """
    if Path(folder).exists():
        raise BadInput(f"{folder} exists; choose another folder")
    missing = [modality for modality in ("text", "image") if modality not in binder.modalities]
    if missing:
        raise BadOption(f"binding {binder.name!r}: expected encoders of text and image, got none of {missing[0]}")
    encoders = {modality: _find_encoder(binder, modality) for modality in ("text", "image")}
    shared = encoders["text"].module
    with files.atomic_folder(folder) as temporary, collect_reports():
        if isinstance(shared, SentenceTransformer):
            modalities = tuple(name for name in binder.modalities if _has_module(binder, name, shared))
            shared.save(str(temporary), create_model_card=False)
        else:
            modalities = tuple(encoders)
            try:
                _save_clip(encoders["text"], encoders["image"], temporary)
            except errors.UnsupportedBackend as error:
                raise errors.UnsupportedBackend(f"binding {binder.name!r}: {error}; {ADVICE}") from error
        difference = _compare(binder, temporary)
        if difference > TOLERANCE:
            raise errors.UnsupportedBackend(
                f"binding {binder.name!r}: stock modules give other embeddings, by {difference:.1e} in cosine"
                f" similarity; {ADVICE}"
            )
    left_out = tuple(modality for modality in binder.modalities if modality not in modalities)
    return SavedModel(Path(folder), modalities, left_out, difference)


def _find_encoder(binder: Binder, modality: str) -> TorchEncoder:
    encoder = binder.encoder(modality, "torch")
    if binder.route(modality):
        raise errors.UnsupportedBackend(
            f"binding {binder.name!r}: {modality} is mapped to the common space by an adapter; {ADVICE}"
        )
    if not isinstance(encoder, TorchEncoder):
        raise errors.UnsupportedBackend(
            f"binding {binder.name!r}: the {modality} encoder {type(encoder).__name__} is not one of torch; {ADVICE}"
        )
    return encoder


def _has_module(binder: Binder, modality: str, module: SentenceTransformer) -> bool:
    encoder = binder.encoder(modality, "torch")
    return isinstance(encoder, TorchEncoder) and encoder.module is module


def _save_clip(text: TorchEncoder, image: TorchEncoder, folder: Path) -> None:
    """Save two encoders as a CLIP of transformers, with its processor, as the only module of a model."""
    plans = {"text": text.plan_export(), "image": image.plan_export()}
    text_input, image_input = _load_text_input(plans["text"]), _load_image_input(plans["image"])
    modules = {"text_model": plans["text"].module, "vision_model": plans["image"].module}
    start, end = text_input.preprocess("")[0], text_input.preprocess("")[-1]
    tokens = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    config = CLIPConfig(
        text_config={
            **describe_encoder(modules["text_model"]), "max_position_embeddings": text_input.context, **tokens
        },
        vision_config=describe_encoder(modules["vision_model"]),
        projection_dim=image.space.dim,
    )  # fmt: skip
    state = {name: each for part, module in modules.items() for name, each in convert_encoder(module, part).items()}
    with torch.device("meta"):
        model = CLIPModel(config)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise errors.UnsupportedBackend(f"its encoders are not those of CLIP: {reason}") from error
    processor = CLIPProcessor(_convert_image_input(image_input), _convert_text_input(text_input, start, end))
    with tempfile.TemporaryDirectory() as parts:
        model.save_pretrained(parts)
        processor.save_pretrained(parts)
        saved = SentenceTransformer(parts, device="cpu", local_files_only=True)
        saved.similarity_fn_name = "cosine"
        saved.save(str(folder), create_model_card=False)
    # Pillow's filters, as anybind's: those of torchvision, the default, round differently.
    path = folder / TRANSFORMER_CONFIG
    settings = json.loads(path.read_text(encoding="utf-8")) | {"processor_kwargs": {"backend": "pil"}}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _load_text_input(plan: export.ExportPlan) -> export.TextInput:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in plan.files.items():
            (Path(folder) / name).write_bytes(content)
        text_input = export.create_input(plan.encoder, plan.options, folder)
    if (
        not isinstance(text_input, export.TextInput)
        or text_input.zero is not None
        or text_input.clean == "canonicalize"
    ):
        raise errors.UnsupportedBackend("the tokenizer of its text encoder is not one of CLIP's")
    return text_input


def _load_image_input(plan: export.ExportPlan) -> export.ImageInput:
    image_input = getattr(export.create_input(plan.encoder, plan.options, "."), "image", None)
    if not isinstance(image_input, export.ImageInput) or image_input.mode == "longest":
        raise errors.UnsupportedBackend("the preprocessing of its image encoder is not one of CLIP's")
    return image_input


def _convert_text_input(text_input: export.TextInput, start: int, end: int) -> PreTrainedTokenizerFast:
    """Convert the tokenizer, which cleans texts in Python, to one that normalises them itself."""
    import tokenizers
    from tokenizers import normalizers

    tokenizer = tokenizers.Tokenizer.from_str(text_input.tokenizer.to_str())
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if text_input.clean == "lower" else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)  # pyright: ignore[reportAttributeAccessIssue]
    names = {"bos_token": tokenizer.id_to_token(start), "eos_token": tokenizer.id_to_token(end)}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=text_input.context, pad_token=names["eos_token"], **names
    )


def _convert_image_input(image_input: export.ImageInput) -> CLIPImageProcessor:
    side = image_input.side
    square = {"height": side, "width": side}
    is_cropped = image_input.mode == "shortest"
    return CLIPImageProcessor(
        size={"shortest_edge": image_input.resize or side} if is_cropped else square,
        crop_size=square,
        do_center_crop=is_cropped,
        resample=RESAMPLING[image_input.interpolation],
        image_mean=list(image_input.mean),
        image_std=list(image_input.std),
    )


def _compare(binder: Binder, folder: Path) -> float:
    """Return the largest difference from 1 of a cosine similarity between embeddings of a binding and a saved model."""
    saved = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (64, 96 - 32 * number, 3), dtype=np.uint8) for number in range(2)]
    differences = []
    for modality, items, converted in (
        ("text", list(TEXTS), [convert_text(text) for text in TEXTS]),
        ("image", images, [convert_image(image) for image in images]),
    ):
        ours = binder.with_store(None).embed(modality, items).vectors.astype(np.float64)
        theirs = np.asarray(saved.encode(converted, show_progress_bar=False), np.float64)
        if theirs.shape != ours.shape:
            return 1.0
        cosines = (ours * theirs).sum(1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
        differences.append(float((1 - cosines).max()))
    return max(0.0, *differences)
