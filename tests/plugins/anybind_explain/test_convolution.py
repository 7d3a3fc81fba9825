"""Grad-CAM on a network whose map has a closed form."""

from __future__ import annotations

import torch

from anybind_explain.convolution import compute_convolution_relevance


class SmallNetwork(torch.nn.Module):
    """A convolution, an activation, global average pooling, and one weight per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, padding=1)
        self.act = torch.nn.ReLU(inplace=True)
        self.classifier = torch.nn.Linear(5, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.act(self.conv(images)).mean((2, 3)))[:, 0]


def test_the_map_is_the_positive_contribution_of_each_position():
    torch.manual_seed(1)
    module, batch = SmallNetwork(), torch.randn(1, 3, 6, 8)
    result = compute_convolution_relevance(module, batch, module)
    assert result is not None
    relevance, layer = result
    with torch.no_grad():
        maps = module.conv(batch).relu()[0]
        contributions = (module.classifier.weight[0, :, None, None] * maps).sum(0) / 48
    assert layer == "act"
    assert (contributions < 0).any()
    torch.testing.assert_close(relevance.float(), contributions.clamp(min=0))


def test_the_network_and_the_input_are_unchanged():
    module, batch = SmallNetwork(), torch.randn(1, 3, 6, 8)
    module.requires_grad_(False)
    compute_convolution_relevance(module, batch, module)
    assert not batch.requires_grad
    assert all(weight.grad is None and not weight.requires_grad for weight in module.parameters())
    assert not any(submodule._forward_hooks or submodule._forward_pre_hooks for submodule in module.modules())


def test_a_network_without_convolution_has_no_map():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(27, 1))
    assert compute_convolution_relevance(lambda batch: module(batch)[:, 0], torch.randn(1, 3, 3, 3), module) is None


def test_a_convolution_with_a_single_output_position_has_no_map():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())
    assert compute_convolution_relevance(lambda batch: module(batch)[:, 0], torch.randn(1, 3, 3, 3), module) is None
