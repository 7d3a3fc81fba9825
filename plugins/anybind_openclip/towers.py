"""The two towers of an open_clip model, each loaded when it is asked for."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import open_clip
import PIL.Image
import torch
from open_clip.factory import load_checkpoint
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

from anybind import AnybindWarning, Space
from anybind.plugin import BadInput, Tower, errors, tables, tensors
from anybind_openclip.source import Source, find_source


class VisualFeatures(torch.nn.Module):
    """The image half of a model: pictures to features, not of norm 1."""

    def __init__(self, visual: torch.nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) to (n, d)."""
        features = self.visual(pictures)
        return features[0] if isinstance(features, tuple) else features  # CoCa gives its tokens too


class TextFeatures(torch.nn.Module):
    """The text half of a model: tokens to features, not of norm 1."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.text = copy.copy(model)
        self.text._modules = {name: part for name, part in model._modules.items() if name != "visual"}

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, context) to (n, d)."""
        return self.text.encode_text(tokens)  # pyright: ignore[reportCallIssue]


class ImageTower(Tower):
    """Pictures by the image tower, through the preprocessing that came with the weights."""

    def __init__(self, module: torch.nn.Module, preprocess: Mapping[str, Any], **common: Any) -> None:
        super().__init__(module, modality="image", preprocessing=preprocess, **common)
        self.transform: Any = image_transform_v2(
            PreprocessCfg(**merge_preprocess_dict({}, dict(preprocess))), is_train=False
        )

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 to (3, size, size) float32."""
        return self.transform(PIL.Image.fromarray(sample))


class TextTower(Tower):
    """Words by the text tower. A text longer than the context is cut, with a warning that shows where."""

    def __init__(
        self, module: torch.nn.Module, tokenizer: Callable[..., torch.Tensor], config: str, **common: Any
    ) -> None:
        self.tokenizer = tokenizer
        self._one_at_a_time = threading.Lock()  # tokenizers on Rust refuse to be borrowed by two threads
        self.context_length: int = tokenizer.context_length  # pyright: ignore[reportFunctionMemberAccess]
        self._padding = tokenizer([""])[0, -1]
        described = {"tokenizer": type(tokenizer).__name__, "context_length": self.context_length, "config": config}
        super().__init__(module, modality="text", preprocessing=described, **common)

    def preprocess(self, sample: str) -> torch.Tensor:
        """A text to (context,) int64 tokens."""
        with self._one_at_a_time:
            tokens = self.tokenizer([sample])[0]
            # Given one place more, a text that fits leaves it to padding.
            if self.tokenizer([sample], context_length=self.context_length + 1)[0, -1] != self._padding:
                self._warn_of_cut(sample.strip(), tokens)
        return tokens

    def _warn_of_cut(self, text: str, tokens: torch.Tensor) -> None:
        kept, enough = 0, len(text)
        while enough - kept > 1:  # the shortest beginning of the text that gives the same tokens
            middle = (kept + enough) // 2
            same = torch.equal(self.tokenizer([text[:middle]])[0], tokens)
            kept, enough = (kept, middle) if same else (middle, enough)
        warnings.warn(
            f"text cut to {self.context_length} tokens: kept up to {text[max(0, enough - 30) : enough]!r},"
            f" dropped {text[enough : enough + 30]!r}...",
            AnybindWarning,
            stacklevel=2,
        )


_other_half: dict[tuple[Any, ...], tuple[Any, Any]] = {}
"""The half of the last model that nobody asked for yet: the second tower of a binding loads no file again.

Each half is handed out once, so that no two encoders share weights.
"""


def image_tower(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, Any] | None = None
) -> ImageTower:
    """The image tower of a model; see `find_source` for the arguments and what is raised."""
    source = find_source(model, architecture, preprocess)
    half, common = _load_half(source, "image")
    size = half.visual.image_size
    settings = merge_preprocess_dict(PreprocessCfg(), {**source.preprocess, "size": size})
    return ImageTower(half, {**settings, "config": tables.settings_hash(dict(source.config))}, **common)


def text_tower(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, Any] | None = None
) -> TextTower:
    """The text tower of a model; see `find_source` for the arguments and what is raised."""
    source = find_source(model, architecture, preprocess)
    half, common = _load_half(source, "text")
    return TextTower(
        half, open_clip.get_tokenizer(source.tokenizer), tables.settings_hash(dict(source.config)), **common
    )


def _load_half(source: Source, wanted: str) -> tuple[Any, dict[str, Any]]:
    config_hash, file = tables.settings_hash(dict(source.config)), source.weights.stat()
    key = (source.weights, file.st_mtime_ns, file.st_size, config_hash)
    kept = _other_half.pop(key, None)
    if kept is not None and kept[0] == wanted:
        return kept[1]
    model = _load_model(source)
    backbone = source.backbone or f"weights:{tensors.state_hash(model.state_dict())}-{config_hash}"
    common = {
        "space": Space(source.name, source.config["embed_dim"], backbone),
        "logit_scale": model.logit_scale.exp().item(),
    }
    halves = {"image": (VisualFeatures(model.visual), common), "text": (TextFeatures(model), common)}
    _other_half.clear()
    other = "text" if wanted == "image" else "image"
    _other_half[key] = (other, halves[other])
    return halves[wanted]


def _load_model(source: Source) -> Any:
    config = copy.deepcopy(dict(source.config))
    text_config = config["text_cfg"]
    custom = config.pop("custom_text", False) or "hf_model_name" in text_config
    # Weights come from the file below, so no base weights may be fetched for either half.
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in text_config:
        text_config["hf_model_pretrained"] = False
    build: Any = (
        open_clip.CLIP if not custom else open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    )
    try:
        model = build(**config)
    except (TypeError, ValueError, AssertionError) as error:
        raise BadInput(f"the configuration of {source.name} makes no model: {' '.join(str(error).split())}") from error
    try:
        load_checkpoint(model, str(source.weights), strict=True, weights_only=True, device="cpu")
    except Exception as error:  # torch, safetensors and zip readers each raise their own on a bad file
        reason = " ".join(str(error).split())[:200]
        raise errors.WeightsMismatch(
            f"{source.weights} holds no weights that fit {source.name}: {reason}; check the file, or download it again"
        ) from error
    return model.eval()
