"""Relevance in convolutional towers: Grad-CAM (Selvaraju et al., ICCV 2017), by captum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import LayerGradCam


def convolution_relevance(
    score_of: Callable[[object], torch.Tensor], batch: torch.Tensor, module: torch.nn.Module
) -> tuple[torch.Tensor, str] | None:
    """Relevance of every cell of the last feature map for a score.

    That is the map that the last convolution led to, behind its norm and activation and before it is pooled.

    Args:
        score_of: a batch to (n,) scores, with gradients.
        batch: of one sample, (1, channels, height, width).
        module: what the score comes from.

    Returns:
        (rows, columns) float64, 0 or more, and the name of the layer; None where no convolution gives a map.
    """
    name = _last_map(score_of, batch, module)
    if name is None:
        return None
    with torch.enable_grad():
        cam = LayerGradCam(score_of, module.get_submodule(name))
        relevance = cam.attribute(batch, relu_attributions=True)
    assert isinstance(relevance, torch.Tensor)
    return relevance[0, 0].detach().double(), name


def _last_map(score_of: Callable[[object], torch.Tensor], batch: torch.Tensor, module: torch.nn.Module) -> str | None:
    """Name of the part that ends last of those that give maps, in a module that convolves."""
    if not any(isinstance(part, torch.nn.Conv2d) for part in module.modules()):
        return None
    ended: list[str] = []

    def note(name: str) -> Callable[..., None]:
        def hook(part: torch.nn.Module, given: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
                ended.append(name)

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in module.named_modules() if name]
    try:
        with torch.no_grad():
            score_of(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return ended[-1] if ended else None
