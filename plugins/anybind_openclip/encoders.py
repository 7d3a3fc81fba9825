"""The image and text encoders of an open_clip model; each loads only its own weights."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import open_clip
import PIL.Image
import torch
from open_clip.factory import load_checkpoint
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

from anybind import AnybindWarning, Space
from anybind.plugin import BadInput, TorchEncoder, errors, export, readers, tables, tensors
from anybind_openclip.export_inputs import OpenClipImageInput, convert_tokenizer, read_image_options
from anybind_openclip.model_files import OpenClipFiles, find_model_files
from anybind_openclip.text_files import create_tokenizer, find_text_model

STUB_VISION = {"layers": 1, "width": 64, "patch_size": 1, "image_size": 1}
STUB_TEXT = {"layers": 1, "width": 64, "heads": 1, "context_length": 1, "vocab_size": 1}
"""Minimal configurations in place of the image tower or text tower that is not loaded."""


class OpenClipImageTower(torch.nn.Module):
    """The image tower of a model: images to features, not normalised."""

    def __init__(self, visual: torch.nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, size, size) to (n, d)."""
        features = self.visual(images)
        return features[0] if isinstance(features, tuple) else features  # CoCa also returns its tokens


class OpenClipTextTower(torch.nn.Module):
    """The text tower of a model: tokens to features, not normalised."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.text = copy.copy(model)
        self.text._modules = {name: part for name, part in model._modules.items() if name != "visual"}

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (n, context) to (n, d)."""
        return self.text.encode_text(tokens)  # pyright: ignore[reportCallIssue]


class OpenClipImageEncoder(TorchEncoder):
    """An image encoder with the preprocessing of its weights."""

    def __init__(
        self, module: torch.nn.Module, preprocess: Mapping[str, object], space: Space, logit_scale: float
    ) -> None:
        super().__init__(module, modality="image", preprocessing=preprocess, space=space, logit_scale=logit_scale)
        config = PreprocessCfg(**merge_preprocess_dict({}, dict(preprocess)))
        self.reader_options = {"min_side": readers.REDUCING_GAP * max(config.input_size[1:])}
        options = read_image_options(preprocess)
        self.input = OpenClipImageInput(**options) if options else None
        # open_clip's own, for images that are not square.
        self.transform: Callable[[PIL.Image.Image], torch.Tensor] = image_transform_v2(config, is_train=False)  # pyright: ignore[reportAttributeAccessIssue]

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Map (height, width, 3) uint8 to (3, size, size) float32."""
        if self.input is not None:
            return torch.from_numpy(self.input.preprocess(sample))
        return self.transform(PIL.Image.fromarray(sample))

    def plan_export(self) -> export.ExportPlan:
        options = read_image_options(self.preprocessing)
        if not options:
            raise errors.UnsupportedBackend("encoders of images that are not square cannot be exported")
        return export.ExportPlan(self.module, "open_clip-image", options)


class OpenClipTextEncoder(TorchEncoder):
    """A text encoder; a text longer than the context is truncated, with a warning that shows where."""

    def __init__(
        self,
        module: torch.nn.Module,
        tokenizer: Callable[..., torch.Tensor],
        config: str,
        space: Space,
        logit_scale: float,
    ) -> None:
        self.tokenizer = tokenizer
        self._lock = threading.Lock()  # tokenizers in Rust raise if two threads use them at once
        self.context_length: int = tokenizer.context_length  # pyright: ignore[reportFunctionMemberAccess]
        self._padding = tokenizer([""])[0, -1]
        settings = {"tokenizer": type(tokenizer).__name__, "context_length": self.context_length, "config": config}
        super().__init__(module, modality="text", preprocessing=settings, space=space, logit_scale=logit_scale)

    def preprocess(self, sample: str) -> torch.Tensor:
        """Map a text to (context,) int64 tokens."""
        with self._lock:
            tokens = self.tokenizer([sample])[0]
            # With a context longer by one, the last token of a text that fits is padding.
            if self.tokenizer([sample], context_length=self.context_length + 1)[0, -1] != self._padding:
                self._warn_truncated(sample.strip(), tokens)
        return tokens

    def plan_export(self) -> export.ExportPlan:
        tokens = convert_tokenizer(self.tokenizer)
        axes = {"tokens": {0: "n"}}
        return export.ExportPlan(self.module, "open_clip-text", tokens.options, axes, tokens.files)

    def _warn_truncated(self, text: str, tokens: torch.Tensor) -> None:
        low, high = 0, len(text)
        while high - low > 1:  # bisection for the shortest prefix of the text with the same tokens
            middle = (low + high) // 2
            is_same = torch.equal(self.tokenizer([text[:middle]])[0], tokens)
            low, high = (low, middle) if is_same else (middle, high)
        warnings.warn(
            f"text truncated to {self.context_length} tokens: kept up to {text[max(0, high - 30) : high]!r},"
            f" dropped {text[high : high + 30]!r}...",
            AnybindWarning,
            stacklevel=2,
        )


def load_image_encoder(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, object] | None = None
) -> OpenClipImageEncoder:
    """Load the image encoder of a model; see `find_model_files` for arguments and errors."""
    model_files = find_model_files(model, architecture, preprocess)
    tower, space, scale = _load_tower(model_files, "image")
    size = tower.visual.image_size  # pyright: ignore[reportAttributeAccessIssue]
    settings = merge_preprocess_dict(PreprocessCfg(), {**model_files.preprocess, "size": size})
    return OpenClipImageEncoder(
        tower, {**settings, "config": tables.hash_settings(dict(model_files.config))}, space, scale
    )


def load_text_encoder(
    model: str, *, architecture: str | None = None, preprocess: Mapping[str, object] | None = None
) -> OpenClipTextEncoder:
    """Load the text encoder of a model; see `find_model_files` for arguments and errors."""
    model_files = find_model_files(model, architecture, preprocess)
    tower, space, scale = _load_tower(model_files, "text")
    config = tables.hash_settings(dict(model_files.config))
    return OpenClipTextEncoder(tower, create_tokenizer(model_files), config, space, scale)


def _load_tower(model_files: OpenClipFiles, modality: Literal["image", "text"]) -> tuple[torch.nn.Module, Space, float]:
    """Load the image tower or text tower of a model, its space and its logit scale; only that one is built."""
    config = copy.deepcopy(dict(model_files.config))
    # Weights come from the file: no base weights may be downloaded.
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if name := config["text_cfg"].get("hf_model_name"):
        config["text_cfg"] |= {"hf_model_pretrained": False, "hf_model_name": str(find_text_model(str(name)))}
    is_custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    build: Callable[..., torch.nn.Module] = (
        open_clip.CLIP if not is_custom else open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    )
    try:
        outline = _build_outline(build, config)
        state = _read_state(model_files, outline)  # before memory is taken: the file has what the configuration claims
        if modality == "image":
            activation = config.get("quick_gelu", False)
            model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], STUB_TEXT, quick_gelu=activation)  # pyright: ignore[reportArgumentType]
            tower = OpenClipImageTower(model.visual)
        else:
            tower = OpenClipTextTower(build(**{**config, "vision_cfg": STUB_VISION}))
    except (TypeError, ValueError, AssertionError, KeyError, AttributeError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{model_files.name}: not a valid model configuration: {reason}") from error
    prefix = "" if modality == "image" else "text."
    tower.load_state_dict(
        {f"{prefix}{name}": each for name, each in state.items() if name.startswith("visual.") == (modality == "image")}
    )
    backbone = model_files.backbone
    if not backbone:
        types = {name: each.dtype for name, each in outline.state_dict().items()}
        weights = tensors.hash_state({name: each.to(types[name]) for name, each in state.items()})
        backbone = f"weights:{weights}-{tables.hash_settings(dict(model_files.config))}"
    space = Space(model_files.name, model_files.config["embed_dim"], backbone)
    return tower.eval(), space, state["logit_scale"].float().exp().item()


def _build_outline(build: Callable[..., torch.nn.Module], config: Mapping[str, object]) -> torch.nn.Module:
    """Build a complete model for its weights' names and shapes, on the meta device if its classes support it."""
    try:
        with torch.device("meta"):
            return build(**copy.deepcopy(config))
    except RuntimeError:  # its constructor computes with tensor values, which the meta device has not
        return build(**copy.deepcopy(config))


def _read_state(model_files: OpenClipFiles, outline: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """Read the weights of the whole model under open_clip's names, memory-mapped if the format allows it."""
    state: dict[str, torch.Tensor] = {}

    def capture_state(converted: Mapping[str, torch.Tensor], strict: bool = True) -> None:
        state.update(converted)

    # Captures the state that open_clip would load, after its conversion of other publishers' names and shapes.
    outline.load_state_dict = capture_state  # pyright: ignore[reportAttributeAccessIssue]
    _check_weights(model_files.weights)
    try:
        weights = str(model_files.weights)
        load_checkpoint(outline, weights, strict=True, weights_only=True, device="cpu")  # pyright: ignore[reportArgumentType]
    except Exception as error:  # torch, safetensors and zip readers each raise their own on a bad file
        reason = " ".join(str(error).split())[:200]
        raise errors.WeightsMismatch(
            f"{model_files.weights}: not weights of {model_files.name}: {reason}; check the file, or download it again"
        ) from error
    tensors.check_state(model_files.weights, state, outline.state_dict())
    return state


def _check_weights(path: Path) -> None:
    """Raise `BadInput` or `WeightsMismatch` for a file that open_clip must not read, or one with NaN."""
    if path.suffix == ".safetensors":
        tensors.read_weights(path)
        return
    content = tensors.load_torch(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    tensors.check_state_dict(path, state)
    tensors.check_finite(path, state)
