"""The small network that reconstructs a gray image from events."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

N_SLICES = 6
"""Signed slices per recording: two for each of the three saccades of the training protocol."""


class ReconstructionNet(nn.Module):
    """A U-Net from signed slices, (n, 6, h, w) in [-1, 1], to gray images, (n, 1, h, w) in [0, 1]; 0.33 M parameters.

    It has no norm layers, three stages of stride 2, bilinear upsampling and additive skip connections.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 48, 64)) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.down1 = nn.Conv2d(N_SLICES, half, 5, stride=2, padding=2)
        self.down2 = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.down3 = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(_make_block(eighth, dilation) for dilation in (1, 2, 1))
        self.up3 = nn.Conv2d(eighth, quarter, 3, padding=1)
        self.mid2 = nn.Conv2d(quarter, quarter, 3, padding=1)
        self.up2 = nn.Conv2d(quarter, half, 1)
        self.mid1 = nn.Conv2d(half, half, 3, padding=1)
        self.up1 = nn.Conv2d(half, 8, 1)
        self.full = nn.Conv2d(N_SLICES + 8, 12, 3, padding=1)
        self.out = nn.Conv2d(12, 1, 3, padding=1)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Reconstruct images; shapes as in the class."""
        half = functional.relu(self.down1(slices))
        quarter = functional.relu(self.down2(half))
        deep = self.down3(quarter)
        for block in self.blocks:
            deep = deep + block(deep)
        up = functional.relu(_resize_like(self.up3(functional.relu(deep)), quarter) + quarter)
        up = functional.relu(_resize_like(self.up2(functional.relu(self.mid2(up))), half) + half)
        up = _resize_like(self.up1(functional.relu(self.mid1(up))), slices)
        return torch.sigmoid(self.out(functional.relu(self.full(torch.cat([slices, up], dim=1)))))


def _make_block(width: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )


def _resize_like(small: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(small, size=like.shape[2:], mode="bilinear", align_corners=False)
