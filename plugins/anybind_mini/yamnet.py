"""YAMNet in torch (MobileNet v1 on log mel patches, 521 AudioSet classes), and its map into the text space.

Source of the network: `yamnet.py` in TensorFlow Models (Apache-2.0). Batch norms are folded into the convolutions.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from anybind_mini.sound_input import SMALLEST

CLASSES, WIDTH = 521, 1024
LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (WIDTH, 2), (WIDTH, 1),
)  # fmt: skip
"""Output channels and stride of the separable convolutions, which follow a convolution with 32 channels."""


class ConvReLU(nn.Conv2d):
    """A convolution with ReLU and TensorFlow's `SAME` padding: with stride 2, only at the end of even sizes."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve (n, channels, height, width); height and width are even where the stride is 2."""
        before, after = (0, 1) if self.stride[0] == 2 else (self.kernel_size[0] // 2,) * 2
        return functional.relu(super().forward(functional.pad(input, (before, after, before, after))))


class Yamnet(nn.Module):
    """The network: from log mel patches, (n, 96, 64), to scores of 521 classes, 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        layers, width = [ConvReLU(1, 32, 3, stride=2)], 32
        for channels, stride in LAYERS:
            layers += [ConvReLU(width, width, 3, stride=stride, groups=width), ConvReLU(width, channels, 1)]
            width = channels
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Compute the scores, (n, 521)."""
        logits = self.classifier(self.layers(patches[:, None]).mean((2, 3)))
        # Not `sigmoid`, which ONNX Runtime bounds at 1.5e-8: the square root of that would be visible in embeddings.
        return 1 / (1 + torch.exp(-logits.clamp(min=-80)))


class SoundNet(nn.Module):
    """YAMNet and a linear map of the square roots of a clip's mean scores (ConSE, Norouzi et al., 2014).

    The map's columns are of the class names. Its bias is small, along a coordinate that is zero for all texts: where no
    class has a score, as in silence, it dominates, and the clip is similar to no text.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.network = Yamnet()
        self.names = nn.Linear(CLASSES, dim)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed all patches of one clip, (n, 96, 64), to (1, dim), not of norm 1."""
        return self.map_scores(self.network(patches).mean(0, keepdim=True))

    def map_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """Map mean scores of clips, (clips, 521), to (clips, dim)."""
        return self.names(scores.clamp(min=SMALLEST).sqrt())
