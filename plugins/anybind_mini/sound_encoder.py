"""The audio encoder of `mini` in torch: YAMNet, mapped to the text space in closed form.

`python -m anybind_mini.build_sound` makes `sound.safetensors`; `sound.md` is its card.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anybind.plugin import TorchEncoder, export, samples
from anybind_mini.models import TEXT_SPACE
from anybind_mini.sound_input import LOGIT_SCALE, PATCHES_AT_ONCE, READER_OPTIONS, SETTINGS, make_patches
from anybind_mini.yamnet import SoundNet


class MiniSoundEncoder(TorchEncoder):
    """An audio encoder for clips of any length: the mean over patches of 0.96 s, every 0.48 s, of YAMNet's scores.

    Clips shorter than a patch are mirrored at their end. Silence has an embedding that is similar to no text.
    """

    module: SoundNet
    reader_options = READER_OPTIONS

    def __init__(self, *, weights: str | None = None) -> None:
        """Load the encoder.

        Args:
            weights: a file of `save_weights`; without it the weights are random.

        Raises:
            BadInput, WeightsMismatch: the weights cannot be read, or are of another model or preprocessing.
        """
        super().__init__(
            SoundNet(TEXT_SPACE.dim).to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
            modality="sound",
            space=TEXT_SPACE,
            preprocessing=SETTINGS,
            logit_scale=LOGIT_SCALE,
        )
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Preprocess an audio clip to log mel patches, (patches, 96, 64) float32."""
        return torch.from_numpy(make_patches(sample))

    def collate(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Collate clips to `patches` (n, 96, 64) of all clips and `counts` (clips,) of patches in each."""
        return {"patches": torch.cat(list(inputs)).to(self.device), "counts": torch.tensor(list(map(len, inputs)))}

    def features(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embed a batch, (clips, 384), with gradients, not of norm 1."""
        scores = torch.cat([self.module.network(part) for part in batch["patches"].split(PATCHES_AT_ONCE)])
        clips = scores.split(batch["counts"].tolist())
        return self.module.map_scores(torch.stack([clip.mean(0) for clip in clips]))

    def plan_export(self) -> export.ExportPlan:
        axes = {"patches": {0: "patches"}, "shares": {0: "n", 1: "patches"}}
        return export.ExportPlan(ClipNet(self.module), "mini-sound", axes=axes)


class ClipNet(torch.nn.Module):
    """The network for a batch of clips, as one graph."""

    def __init__(self, module: SoundNet) -> None:
        super().__init__()
        self.module = module

    def forward(self, patches: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """Embed the patches of all clips, (patches, 96, 64), by their shares in the clips, (clips, patches)."""
        return self.module.map_scores(shares @ self.module.network(patches))
