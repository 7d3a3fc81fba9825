"""Relevance in convolutional networks: Grad-CAM (Selvaraju et al., ICCV 2017), by captum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import LayerGradCam


def compute_convolution_relevance(
    compute_scores: Callable[[object], torch.Tensor], batch: torch.Tensor, module: torch.nn.Module
) -> tuple[torch.Tensor, str] | None:
    """Compute the relevance of every cell of the last feature map for a score.

    The last feature map is that of the last convolution, after norm and activation and before pooling.

    Args:
        compute_scores: maps a batch to (n,) scores, with gradients.
        batch: a batch of one sample, (1, channels, height, width).
        module: the network that computes the score.

    Returns:
        (rows, columns) float64, 0 or more, and the name of the layer; None without a convolutional feature map.
    """
    name = _find_last_map(compute_scores, batch, module)
    if name is None:
        return None
    with torch.enable_grad():
        cam = LayerGradCam(compute_scores, module.get_submodule(name))
        relevance = cam.attribute(batch, relu_attributions=True)
    assert isinstance(relevance, torch.Tensor)
    return relevance[0, 0].detach().double(), name


def _find_last_map(
    compute_scores: Callable[[object], torch.Tensor], batch: torch.Tensor, module: torch.nn.Module
) -> str | None:
    """Return the name of the last submodule whose output is a feature map; None without convolutions."""
    if not any(isinstance(submodule, torch.nn.Conv2d) for submodule in module.modules()):
        return None
    map_names: list[str] = []

    def make_hook(name: str) -> Callable[..., None]:
        def hook(submodule: torch.nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
                map_names.append(name)

        return hook

    hooks = [submodule.register_forward_hook(make_hook(name)) for name, submodule in module.named_modules() if name]
    try:
        with torch.no_grad():
            compute_scores(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return map_names[-1] if map_names else None
