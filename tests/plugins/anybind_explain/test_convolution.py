"""Grad-CAM: on a network whose map is known in closed form."""

from __future__ import annotations

import torch

from anybind_explain.convolution import convolution_relevance


class Small(torch.nn.Module):
    """A convolution, its activation, the mean over places, and a weight a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, padding=1)
        self.act = torch.nn.ReLU(inplace=True)
        self.weigh = torch.nn.Linear(5, 1, bias=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.weigh(self.act(self.conv(pictures)).mean((2, 3)))[:, 0]


def test_the_map_is_what_each_place_adds_to_the_score_where_that_is_more_than_nothing():
    torch.manual_seed(1)
    module, batch = Small(), torch.randn(1, 3, 6, 8)
    found = convolution_relevance(module, batch, module)
    assert found is not None
    relevance, layer = found
    with torch.no_grad():
        maps = module.conv(batch).relu()[0]
        added = (module.weigh.weight[0, :, None, None] * maps).sum(0) / 48
    assert layer == "act"
    assert (added < 0).any()
    torch.testing.assert_close(relevance.float(), added.clamp(min=0))


def test_the_network_and_the_picture_are_left_as_they_were():
    module, batch = Small(), torch.randn(1, 3, 6, 8)
    module.requires_grad_(False)
    convolution_relevance(module, batch, module)
    assert not batch.requires_grad
    assert all(weight.grad is None and not weight.requires_grad for weight in module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_a_network_without_convolution_has_no_map():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(27, 1))
    assert convolution_relevance(lambda batch: module(batch)[:, 0], torch.randn(1, 3, 3, 3), module) is None


def test_a_convolution_that_leaves_one_place_has_no_map():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())
    assert convolution_relevance(lambda batch: module(batch)[:, 0], torch.randn(1, 3, 3, 3), module) is None
