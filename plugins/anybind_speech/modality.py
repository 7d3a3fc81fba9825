"""The modality `speech`: audio clips as those of `sound`, by what is said in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from anybind.plugin import Modality, modalities, samples


class Speech(Modality[samples.AudioSample]):
    """The modality of spoken audio: samples of `sound`, read by its readers, and not divided into windows."""

    name = "speech"

    @property
    def _sound(self) -> Modality[Any]:
        return modalities.find_modality("sound")

    def accepts(self, item: object) -> bool:
        return self._sound.accepts(item)

    def make(self, samples: np.ndarray, rate: int) -> samples.AudioSample:
        """Create a sample: float32 (channels, n), nominally from -1 to 1, and its rate in Hz."""
        return self._sound.make(samples, rate)

    def check(self, sample: samples.AudioSample) -> None:
        self._sound.check(sample)

    def show(self, sample: samples.AudioSample) -> np.ndarray | str:
        return self._sound.show(sample)

    def derive(self, sample: samples.AudioSample, source: str, *, seed: int) -> samples.AudioSample:
        """Return the clip itself."""
        return sample
