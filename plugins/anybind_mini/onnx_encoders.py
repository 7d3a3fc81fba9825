"""The encoders of `mini` on ONNX graphs: the same weights and inputs as in torch, and no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anybind.plugin import BadOption, Encoder, export, prompts, samples
from anybind_mini.depth_rendering import SETTINGS as DEPTH_SETTINGS
from anybind_mini.depth_rendering import render_depth
from anybind_mini.models import (
    IMAGE_GRAPH,
    IMAGE_INPUT,
    IMAGE_READER_OPTIONS,
    IMAGE_SETTINGS,
    IMAGE_SPACE,
    IMAGE_WEIGHTS,
    LOGIT_SCALE,
    MINILM,
    SOUND_GRAPH,
    TEXT_GRAPH,
    TEXT_SPACE,
    TEXT_WEIGHTS,
    TOKENIZER,
)
from anybind_mini.sound_input import LOGIT_SCALE as SOUND_LOGIT_SCALE
from anybind_mini.sound_input import PATCHES_AT_ONCE, READER_OPTIONS, SMALLEST, make_patches
from anybind_mini.sound_input import SETTINGS as SOUND_SETTINGS


class OnnxImageEncoder(export.OnnxEncoder):
    """An image encoder: pooled features of EfficientNet-Lite0, as `MiniImageEncoder`."""

    reader_options = IMAGE_READER_OPTIONS

    def __init__(self, *, runtime: str = "onnx") -> None:
        super().__init__(
            IMAGE_GRAPH,
            IMAGE_WEIGHTS,
            modality="image",
            space=IMAGE_SPACE,
            preprocessing=IMAGE_SETTINGS,
            logit_scale=LOGIT_SCALE,
            runtime=runtime,
            sizes={"height": IMAGE_INPUT.side, "width": IMAGE_INPUT.side},
            lazy=True,  # the event encoder needs its weights and its graph only
        )

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        """Preprocess (height, width, 3) uint8 to (3, 224, 224) float32."""
        return IMAGE_INPUT(sample)


class OnnxTextEncoder(export.OnnxEncoder):
    """A text encoder, all-MiniLM-L6-v2, for up to 256 tokens, as `MiniTextEncoder`."""

    prompt_templates = prompts.DEFINITION_TEMPLATES

    def __init__(self, *, runtime: str = "onnx") -> None:
        self.input = MINILM.create_input(TOKENIZER.read_bytes())
        super().__init__(
            TEXT_GRAPH,
            TEXT_WEIGHTS,
            modality="text",
            space=TEXT_SPACE,
            preprocessing=MINILM.settings,
            logit_scale=LOGIT_SCALE,
            runtime=runtime,
        )

    def preprocess(self, sample: str) -> list[int]:
        """Tokenise a text, to at most as many tokens as the context has."""
        return self.input.preprocess(sample)

    def collate(self, inputs: Sequence[list[int]]) -> dict[str, np.ndarray]:
        return self.input.collate(inputs)

    def encode_raw(self, inputs: Sequence[list[int]]) -> np.ndarray:
        return export.encode_by_length(inputs, super().encode_raw)


class OnnxDepthAsImage(export.OnnxEncoder):
    """A depth encoder: shaded disparity in an image encoder, as `DepthAsImage`."""

    def __init__(self, of: Encoder, *, runtime: str = "onnx") -> None:
        """Share an image encoder.

        Args:
            of: the image encoder; in a binding file `of = "@image"`.
            runtime: that of the image encoder.

        Raises:
            BadOption: `of` is not an image encoder on an ONNX graph.
        """
        if not isinstance(of, export.OnnxEncoder) or of.modality != "image":
            raise BadOption('of: expected an image encoder on an ONNX graph: set of = "@image"')
        self.image = of
        super().__init__(
            of.network,
            of.weights,
            modality="depth",
            space=of.space,
            preprocessing={**DEPTH_SETTINGS, "picture": dict(of.preprocessing)},
            logit_scale=of.logit_scale,
            weights_hash=of.weights_hash,
        )

    def preprocess(self, sample: samples.DepthSample) -> object:
        """Preprocess a depth map, `metres` (height, width), for the image encoder's graph."""
        return self.image.preprocess(render_depth(sample.metres, sample.fx))


class OnnxSoundEncoder(export.OnnxEncoder):
    """An audio encoder: YAMNet, mapped to the text space, as `MiniSoundEncoder`."""

    reader_options = READER_OPTIONS

    def __init__(self, *, weights: str, runtime: str = "onnx") -> None:
        """Load the encoder.

        Args:
            weights: a file of `save_weights` of the encoder in torch.
            runtime: `onnx` or `openvino`.

        Raises:
            BadInput, WeightsMismatch: the weights cannot be read, or are of another model or preprocessing.
        """
        super().__init__(
            SOUND_GRAPH,
            weights,
            modality="sound",
            space=TEXT_SPACE,
            preprocessing=SOUND_SETTINGS,
            logit_scale=SOUND_LOGIT_SCALE,
            runtime=runtime,
            prefix="network.",
        )
        self.names, self.bias = (self.weights[name].astype(np.float32) for name in ("names.weight", "names.bias"))

    def preprocess(self, sample: samples.AudioSample) -> np.ndarray:
        """Preprocess an audio clip to log mel patches, (patches, 96, 64) float32."""
        return make_patches(sample)

    def encode_raw(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Encode clips, (patches, 96, 64) each, to (n, 384) float32, not of norm 1."""
        patches = np.concatenate(list(inputs))
        parts = range(0, len(patches), PATCHES_AT_ONCE)
        scores = np.concatenate([self.network({"patches": patches[i : i + PATCHES_AT_ONCE]}) for i in parts])
        clips = np.split(scores, np.cumsum([len(each) for each in inputs])[:-1])
        means = np.stack([clip.mean(0) for clip in clips])
        return np.sqrt(np.maximum(means, np.float32(SMALLEST))) @ self.names.T + self.bias
