"""The image encoder of `mini`: EfficientNet-Lite0 in timm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import timm
import torch
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from anybind.plugin import TorchEncoder, errors, readers, tensors
from anybind_mini.packages import LOGIT_SCALE, find_image_weights, make_image_space


class MiniImageEncoder(TorchEncoder):
    """An image encoder: pooled features of EfficientNet-Lite0 before its classifier.

    Images are resized to 256 pixels on the short side (bicubic), cropped to the central 224, and scaled to [-1, 1].
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
        self.reader_options = {"min_side": readers.REDUCING_GAP * config["input_size"][-1]}

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Preprocess (height, width, 3) uint8 to (3, 224, 224) float32."""
        return self.transform(PIL.Image.fromarray(sample))

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        # Twice as fast on a CPU as the default layout.
        return super().collate(inputs).contiguous(memory_format=torch.channels_last)


def load_classifier() -> tuple[torch.Tensor, torch.Tensor]:
    """Load the classifier of the features: (1000, 1280) and (1000,) float32, rows in ImageNet-1k's order."""
    state = _load_state()
    return state["_fc.weight"], state["_fc.bias"]


def convert_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Convert the package's weights to timm's names: both have the same tensors in the same order."""
    weights = {name: tensor for name, tensor in _load_state().items() if not name.startswith("_fc.")}
    expected = module.state_dict()
    if [tensor.shape for tensor in weights.values()] != [tensor.shape for tensor in expected.values()]:
        raise errors.WeightsMismatch(f"{find_image_weights()}: expected the tensors of EfficientNet-Lite0, got others")
    return dict(zip(expected, weights.values(), strict=True))


def _load_state() -> dict[str, torch.Tensor]:
    return tensors.read_weights(find_image_weights())
