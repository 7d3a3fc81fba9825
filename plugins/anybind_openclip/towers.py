"""The two towers of an open_clip model, each loaded when it is asked for."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import open_clip
import PIL.Image
import torch
from open_clip.factory import load_checkpoint
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

from anybind import AnybindWarning, Space
from anybind.plugin import BadInput, TorchEncoder, errors, tables, tensors
from anybind_openclip.source import Source, find_source

SMALL_VISION = {"layers": 1, "width": 64, "patch_size": 1, "image_size": 1}
SMALL_TEXT = {"layers": 1, "width": 64, "heads": 1, "context_length": 1, "vocab_size": 1}
"""Stand in for the half of a model that is not wanted while the other is built."""


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

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.text = copy.copy(model)
        self.text._modules = {name: part for name, part in model._modules.items() if name != "visual"}

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, context) to (n, d)."""
        return self.text.encode_text(tokens)  # pyright: ignore[reportCallIssue]


class ImageTower(TorchEncoder):
    """Pictures by the image tower, through the preprocessing that came with the weights."""

    def __init__(
        self, module: torch.nn.Module, preprocess: Mapping[str, object], space: Space, logit_scale: float
    ) -> None:
        super().__init__(module, modality="image", preprocessing=preprocess, space=space, logit_scale=logit_scale)
        config = PreprocessCfg(**merge_preprocess_dict({}, dict(preprocess)))
        self.transform: Callable[[PIL.Image.Image], torch.Tensor] = image_transform_v2(config, is_train=False)  # pyright: ignore[reportAttributeAccessIssue]

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 to (3, size, size) float32."""
        return self.transform(PIL.Image.fromarray(sample))


class TextTower(TorchEncoder):
    """Words by the text tower. A text longer than the context is cut, with a warning that shows where."""

    def __init__(
        self,
        module: torch.nn.Module,
        tokenizer: Callable[..., torch.Tensor],
        config: str,
        space: Space,
        logit_scale: float,
    ) -> None:
        self.tokenizer = tokenizer
        self._one_at_a_time = threading.Lock()  # tokenizers on Rust refuse to be borrowed by two threads
        self.context_length: int = tokenizer.context_length  # pyright: ignore[reportFunctionMemberAccess]
        self._padding = tokenizer([""])[0, -1]
        described = {"tokenizer": type(tokenizer).__name__, "context_length": self.context_length, "config": config}
        super().__init__(module, modality="text", preprocessing=described, space=space, logit_scale=logit_scale)

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


def image_tower(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, object] | None = None
) -> ImageTower:
    """The image tower of a model; see `find_source` for the arguments and what is raised."""
    source = find_source(model, architecture, preprocess)
    half, space, scale = _load_half(source, "image")
    size = half.visual.image_size  # pyright: ignore[reportAttributeAccessIssue]
    settings = merge_preprocess_dict(PreprocessCfg(), {**source.preprocess, "size": size})
    return ImageTower(half, {**settings, "config": tables.hash_settings(dict(source.config))}, space, scale)


def text_tower(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, object] | None = None
) -> TextTower:
    """The text tower of a model; see `find_source` for the arguments and what is raised."""
    source = find_source(model, architecture, preprocess)
    half, space, scale = _load_half(source, "text")
    config = tables.hash_settings(dict(source.config))
    return TextTower(half, open_clip.get_tokenizer(source.tokenizer), config, space, scale)


def _load_half(source: Source, wanted: Literal["image", "text"]) -> tuple[torch.nn.Module, Space, float]:
    """The half of a model that is wanted, its space and its logit scale; the other half is never built."""
    config = copy.deepcopy(dict(source.config))
    # Weights come from the file, so no base weights may be fetched for either half.
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"]["hf_model_pretrained"] = False
    is_custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    build: Callable[..., torch.nn.Module] = (
        open_clip.CLIP if not is_custom else open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    )
    try:
        whole = _build_outline(build, config)
        if wanted == "image":
            activation = config.get("quick_gelu", False)
            model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], SMALL_TEXT, quick_gelu=activation)  # pyright: ignore[reportArgumentType]
            half = VisualFeatures(model.visual)
        else:
            half = TextFeatures(build(**{**config, "vision_cfg": SMALL_VISION}))
    except (TypeError, ValueError, AssertionError) as error:
        raise BadInput(f"the configuration of {source.name} makes no model: {' '.join(str(error).split())}") from error
    state = _read_state(source, whole)
    prefix = "" if wanted == "image" else "text."
    half.load_state_dict(
        {f"{prefix}{name}": each for name, each in state.items() if name.startswith("visual.") == (wanted == "image")}
    )
    backbone = source.backbone
    if not backbone:
        types = {name: each.dtype for name, each in whole.state_dict().items()}
        weights = tensors.hash_state({name: each.to(types[name]) for name, each in state.items()})
        backbone = f"weights:{weights}-{tables.hash_settings(dict(source.config))}"
    space = Space(source.name, source.config["embed_dim"], backbone)
    return half.eval(), space, state["logit_scale"].float().exp().item()


def _build_outline(build: Callable[..., torch.nn.Module], config: Mapping[str, object]) -> torch.nn.Module:
    """A whole model without memory for its weights where its classes allow that, for their names and shapes."""
    try:
        with torch.device("meta"):
            return build(**copy.deepcopy(config))
    except RuntimeError:  # it computes with numbers that a tensor without memory lacks
        return build(**copy.deepcopy(config))


def _read_state(source: Source, whole: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """The weights of both halves by open_clip's names, views of the file where its format allows that."""
    state: dict[str, torch.Tensor] = {}

    def take(converted: Mapping[str, torch.Tensor], strict: bool = True) -> None:
        state.update(converted)

    # What open_clip would load, once it has converted the names and shapes of other publishers' files.
    whole.load_state_dict = take  # pyright: ignore[reportAttributeAccessIssue]
    try:
        weights = str(source.weights)
        load_checkpoint(whole, weights, strict=True, weights_only=True, device="cpu")  # pyright: ignore[reportArgumentType]
    except Exception as error:  # torch, safetensors and zip readers each raise their own on a bad file
        reason = " ".join(str(error).split())[:200]
        raise errors.WeightsMismatch(
            f"{source.weights} holds no weights that fit {source.name}: {reason}; check the file, or download it again"
        ) from error
    tensors.check_state(source.weights, state, whole.state_dict())
    return state
