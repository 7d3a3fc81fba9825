"""EventBind's event encoder (Zhou et al., 2024): a copy of an image encoder on slices, with learned event prompts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from anybind.plugin import BadOption, Encoder
from anybind_baselines.views import PartTable, SliceEncoder, create_image_encoder

TOKEN_NORMS = ("ln_pre", "pre_layrnorm")
"""Names of the norm before the first layer of CLIP's vision transformers: of open_clip, of transformers."""


class EventPrompts(nn.Module):
    """Learned tokens, (prompts, width), after the class token of a vision transformer."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(0.02 * torch.randn(count, width))

    def insert(self, norm: nn.Module, inputs: object, tokens: torch.Tensor) -> torch.Tensor:
        """Insert the prompts into tokens, (n, 1 + patches, width); a forward hook."""
        prompts = self.vectors.to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :1], prompts, tokens[:, 1:]], dim=1)


class EventBindModule(nn.Module):
    """An image module on every slice of a recording, and the mean of the slices' unit features."""

    def __init__(self, image: nn.Module, prompts: int, views: int) -> None:
        super().__init__()
        self.image, self.views = image, views
        if prompts:
            norm = _find_token_norm(image)
            self.prompts = EventPrompts(prompts, norm.normalized_shape[0])
            # A bound method of a submodule: a deep copy of this module then inserts the copied prompts.
            norm.register_forward_hook(self.prompts.insert)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Map (n * views, 3, height, width) to (n, d)."""
        features = functional.normalize(self.image(frames), dim=1)
        return features.reshape(len(frames) // self.views, self.views, -1).mean(1)


def _find_token_norm(image: nn.Module) -> nn.LayerNorm:
    for name, module in image.named_modules():
        if name.rpartition(".")[2] in TOKEN_NORMS and isinstance(module, nn.LayerNorm):
            return module
    raise BadOption("prompts: the image encoder is not a vision transformer of CLIP; set prompts = 0")


class EventBindEncoder(SliceEncoder):
    """A trainable copy of an image encoder on slices of a recording, with event prompts.

    In the embedding space of the image encoder. The publication also has prompts across frames and a temporal encoding,
    which are left out.
    """

    def __init__(
        self,
        image_encoder: Encoder | PartTable,
        *,
        representation: str = "event-slices",
        options: Mapping[str, object] | None = None,
        prompts: int = 16,
        size: int = 0,
        weights: str | None = None,
    ) -> None:
        """Copy an image encoder.

        Args:
            image_encoder: the image encoder to copy; in a binding file `"@image"`, or a table.
            representation: of each slice; by default 5 slices of 15,000 events, red and blue on white.
            options: of the representation.
            prompts: number of learned event prompts; 0 for an image encoder that is not a vision transformer.
            size: side in pixels that the inputs are resized to, 0 for no resizing.
            weights: a file written by `save_weights` of such an encoder.

        Raises:
            BadOption: no torch image encoder, or prompts for one without tokens.
            WeightsMismatch: the weights belong to another model, space or preprocessing.
        """
        image = create_image_encoder(image_encoder, plain=True)
        if isinstance(prompts, bool) or not isinstance(prompts, int) or prompts < 0:
            raise BadOption(f"prompts: expected a whole number, 0 or more, got {prompts!r}")
        if representation == "event-slices":
            options = {"views": 5, "count": 15_000, "representation": "red-blue", **(options or {})}
        self.prepare_views(image, representation, options, size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = EventBindModule(image.copy().module, prompts, self.views)
        super().__init__(
            module,
            modality="event",
            space=image.space,
            preprocessing={
                "frame": dict(self.frame.settings),
                "image": dict(image.preprocessing),
                "prompts": prompts,
                "size": size,
            },
            logit_scale=image.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)
