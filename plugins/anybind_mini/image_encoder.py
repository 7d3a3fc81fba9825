"""The image tower of `mini`: EfficientNet-Lite0, run by timm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import timm
import torch
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from anybind.plugin import TorchEncoder, errors
from anybind_mini.packages import make_image_space, find_image_weights
from anybind_mini.text_encoder import LOGIT_SCALE


class MiniImageEncoder(TorchEncoder):
    """Pictures by EfficientNet-Lite0: pooled features before the classifier.

    Resized to 256 on the short side (bicubic), centre crop of 224, scaled to [-1, 1].
    """

    def __init__(self) -> None:
        module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
        module.load_state_dict(convert_weights(module))
        config = resolve_data_config({}, model=module)
        self.transform: Callable[[PIL.Image.Image], torch.Tensor] = create_transform(**config)  # pyright: ignore[reportAttributeAccessIssue]
        preprocessing = {
            key: config[key] for key in ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
        }
        super().__init__(
            module.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
            modality="image",
            space=make_image_space(),
            preprocessing=preprocessing,
            logit_scale=LOGIT_SCALE,
        )

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 to (3, 224, 224) float32."""
        return self.transform(PIL.Image.fromarray(sample))

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        # Twice as fast on a CPU as the default layout.
        return super().collate(inputs).contiguous(memory_format=torch.channels_last)


def load_classifier() -> tuple[torch.Tensor, torch.Tensor]:
    """The classifier behind the features: (1000, 1280) and (1000,) float32, rows in ImageNet-1k's order."""
    state = _load_state()
    return state["_fc.weight"], state["_fc.bias"]


def convert_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The package's tensors under timm's names: both list the same tensors in the same order."""
    theirs = {name: tensor for name, tensor in _load_state().items() if not name.startswith("_fc.")}
    ours = module.state_dict()
    if [tensor.shape for tensor in theirs.values()] != [tensor.shape for tensor in ours.values()]:
        raise errors.WeightsMismatch(f"{find_image_weights()} does not hold the tensors of EfficientNet-Lite0")
    return dict(zip(ours, theirs.values(), strict=True))


def _load_state() -> dict[str, torch.Tensor]:
    return torch.load(find_image_weights(), map_location="cpu", weights_only=True)
