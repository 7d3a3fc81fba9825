"""Build `sound.safetensors` from YAMNet's weights and the names of its classes, in closed form.

    python -m anybind_mini.build_sound --yamnet DIR [--output FILE]          (make mini-sound)

DIR has `yamnet.safetensors`: arrays `layer_with_weights-N.NAME` of YAMNet's SavedModel (kernels in TensorFlow's order,
`beta`, `moving_mean` and `moving_variance` of batch norms), and YAMNet's `yamnet_class_map.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anybind.commandline import print_text
from anybind.plugin import BadInput, tensors
from anybind_mini.sound_encoder import MiniSoundEncoder
from anybind_mini.text_encoder import MiniTextEncoder
from anybind_mini.yamnet import CLASSES, LAYERS

FILE = Path(__file__).with_name("sound.safetensors")
EPSILON = 1e-4
"""Of YAMNet's batch norms (`params.py`)."""
PROMPTS = ("{}", "a sound: {}")
"""Texts of a class, whose embeddings are averaged."""
SHRINKAGE = 0.3
"""Penalty of the ridge regression from names to classes, times the mean eigenvalue of the names' covariance; 0.1 to 1
have equal accuracy within noise."""
UNUSED = range(494, 501)
"""Classes without a source of sound: silence, sine wave, harmonic, chirp tone, sound effect, pulse, inside (small)."""
UNUSED_COORDINATE = 223
"""A coordinate of the text space that is zero for all texts."""
FLOOR = 0.05
"""Length of the bias, where the mean length of a name is 1: the sum of clips is 0.18 to 2.2, that of silence 0.0003."""
LICENCE = "weights: YAMNet, Google, Apache-2.0; class names: AudioSet, Google, CC BY 4.0; see NOTICE.txt"


def convert_weights(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert YAMNet's arrays to the state of `Yamnet`, float32, with batch norms folded.

    Raises:
        BadInput: an array is missing.
    """

    def get_array(layer: int, name: str) -> np.ndarray:
        key = f"layer_with_weights-{layer}.{name}"
        if key not in arrays:
            raise BadInput(f"yamnet.safetensors: missing array {key}; expected the arrays of YAMNet's SavedModel")
        return arrays[key].astype(np.float64)

    state: dict[str, np.ndarray] = {}
    for number in range(1 + 2 * len(LAYERS)):  # convolutions, each before its batch norm; odd ones are depthwise
        name, axes = ("depthwise_kernel", (2, 3, 0, 1)) if number % 2 else ("kernel", (3, 2, 0, 1))
        beta, mean, variance = (get_array(2 * number + 1, key) for key in ("beta", "moving_mean", "moving_variance"))
        scale = 1 / np.sqrt(variance + EPSILON)
        kernel = get_array(2 * number, name).transpose(axes)
        state[f"layers.{number}.weight"] = kernel * scale[:, None, None, None]
        state[f"layers.{number}.bias"] = beta - mean * scale
    last = 2 * (1 + 2 * len(LAYERS))
    state["classifier.weight"], state["classifier.bias"] = get_array(last, "kernel").T, get_array(last, "bias")
    return {name: np.ascontiguousarray(array, np.float32) for name, array in state.items()}


def read_class_names(path: Path) -> list[str]:
    """Read the display names of YAMNet's 521 classes.

    Raises:
        BadInput: not YAMNet's class map.
    """
    with path.open(newline="", encoding="utf-8") as file:
        names = [row.get("display_name", "") for row in csv.DictReader(file)]
    if len(names) != CLASSES or not all(names):
        raise BadInput(f"{path}: expected YAMNet's class map with {CLASSES} display names, got {len(names)} rows")
    return names


def build_map(embeddings: np.ndarray, unused_coordinate: int = UNUSED_COORDINATE) -> tuple[np.ndarray, np.ndarray]:
    """Build the map from class scores to the text space, float32: weight (d, classes) and bias (d,).

    The ridge solution M of `names @ M = identity`, transposed, so that the similarity of a text and a clip is the score
    of the classes that the text predicts. `embeddings` of names are (classes, d). The bias is along a coordinate that
    no text has.
    """
    names = embeddings.astype(np.float64)
    names -= names.mean(axis=0)
    covariance = names.T @ names / len(names)
    penalty = SHRINKAGE * np.trace(covariance) / len(covariance)
    weight = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), names.T)
    weight /= np.linalg.norm(weight, axis=0).mean()
    weight[:, UNUSED] = 0
    bias = np.zeros(len(weight))
    bias[unused_coordinate] = FLOOR
    return weight.astype(np.float32), bias.astype(np.float32)


def embed_names(names: list[str]) -> np.ndarray:
    """Embed class names, (n, d): means over the prompts, of norm 1."""
    encoder = MiniTextEncoder()
    texts = [prompt.replace("{}", name.lower()) for prompt in PROMPTS for name in names]
    tokens = [encoder.preprocess(text) for text in texts]
    rows = np.concatenate([encoder.encode(tokens[first : first + 50]) for first in range(0, len(tokens), 50)])
    means = rows.reshape(len(PROMPTS), len(names), -1).mean(axis=0, dtype=np.float64)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def build_sound(folder: Path, path: Path = FILE) -> Path:
    """Write the weights of the audio encoder, float16, with their card.

    Args:
        folder: with `yamnet.safetensors` and `yamnet_class_map.csv`.
        path: the file.

    Raises:
        BadInput: a file of the folder is missing or invalid.
    """
    arrays = {name: array.numpy() for name, array in tensors.read_weights(folder / "yamnet.safetensors").items()}
    names = read_class_names(folder / "yamnet_class_map.csv")
    weight, bias = build_map(embed_names(names))
    state = {f"network.{name}": array for name, array in convert_weights(arrays).items()}
    state |= {"names.weight": weight, "names.bias": bias}
    encoder = MiniSoundEncoder()
    card = {"space": vars(encoder.space), "modality": "sound", "preprocessing": encoder.preprocessing}
    card |= {"prompts": PROMPTS, "shrinkage": SHRINKAGE, "unused": list(UNUSED), "floor": FLOOR}
    card |= {"classes": names, "licence": LICENCE}
    tensors.write_tensors(path, {name: array.astype(np.float16) for name, array in state.items()}, card)
    return path


def main() -> None:
    """Build the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yamnet", type=Path, required=True, help="folder of YAMNet's weights and class names")
    parser.add_argument("--output", type=Path, default=FILE, help=f"file to write [default: {FILE.name} of the plugin]")
    options = parser.parse_args()
    path = build_sound(options.yamnet, options.output)
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
