"""`anybind import-checkpoint`: convert the event encoder in a checkpoint of the paper's authors to a weight file.

Their files contain `{"checkpoint": state dict}`. The event encoder is a whole CLIP with OpenAI's names, text half
included, under keys that contain `encoder_k.`; its image half, which has the same names in open_clip, fits a binding's
event encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybind import AnybindWarning, Binder, load
from anybind.commandline import AsJson, print_json, print_text
from anybind.plugin import BadInput, BadOption, files, tensors

if TYPE_CHECKING:
    import torch

    from anybind.plugin import TorchEncoder

ENCODER = "encoder_k."
"""Prefix of the names of the event encoder's weights, itself after the prefix of any wrapper module."""
IMAGE_HALF = "visual."
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "clip-vit-b-32": {"conv1.weight": (768, 3, 32, 32), "positional_embedding": (50, 768), "proj": (768, 512)},
    "clip-vit-l-14": {"conv1.weight": (1024, 3, 14, 14), "positional_embedding": (257, 1024), "proj": (1024, 768)},
}
"""The bindings that the authors' files fit, with the shapes that distinguish their image halves."""
NOTE = (
    "the checkpoint does not record its frame preprocessing: the card has this binding's, while the authors trained on"
    " frames of counts by polarity, in [-1, 1], without CLIP's mean and standard deviation"
)


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of the paper's authors, a .pt file, e.g. vitb.pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weight file to write, .safetensors.")],
    binding: Annotated[
        str | None,
        typer.Option(help="Binding whose event encoder gets the weights. [default: found by the weights' shapes]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert a checkpoint of the paper's authors to weights of an event encoder; no code in it is executed."""
    from anybind.plugin import TorchEncoder  # imports torch

    files.check_output(output, [".safetensors"])
    state = read_event_encoder(checkpoint)
    binder = load(binding or find_binding_by_shapes(checkpoint, state), backend="torch")
    encoder = binder.encoder("event")
    if not isinstance(encoder, TorchEncoder):
        raise BadOption(f"{binder.name}: expected a torch event encoder, got {type(encoder).__name__}")
    load_image_weights(encoder, checkpoint, state)
    _check_text_half(binder, checkpoint, state)
    encoder.save_weights(output)
    if as_json:
        print_json({
            "output": str(output), "binding": binder.name, "space": vars(encoder.space), "note": NOTE,
            "weights": encoder.weights_hash, "preprocessing": encoder.preprocessing,
        })  # fmt: skip
    else:
        print_text(f"{output}: weights for the event encoder of {binder.name} (option weights of a binding file)")
        print_text(f"note: {NOTE}")


def read_event_encoder(path: Path) -> dict[str, torch.Tensor]:
    """Read the event encoder's weights by OpenAI's names, such as `visual.conv1.weight`; on the CPU, loaded lazily.

    Raises:
        BadInput: the file is missing or damaged, needs code execution, or has no event encoder.
    """
    import torch

    content = tensors.load_torch(path)
    if isinstance(content, Mapping) and isinstance(content.get("checkpoint"), Mapping):
        content = content["checkpoint"]
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise BadInput(f"{path}: expected {{'checkpoint': weights by name}}, got {type(content).__name__}")
    state: dict[str, torch.Tensor] = {}
    for key, weight in content.items():
        _, prefix, name = key.partition(ENCODER)
        if not prefix:
            continue
        if name in state:
            raise BadInput(f"{path}: expected one event encoder, got two: {name!r} again in {key!r}")
        dense = isinstance(weight, torch.Tensor) and weight.layout is torch.strided and weight.device.type == "cpu"
        if not (dense and weight.is_floating_point()):
            raise BadInput(f"{path}: {key!r}: expected an array of floating-point numbers")
        state[name] = weight
    if not state:
        prefixes = ", ".join(sorted({key.partition(".")[0] for key in content})[:5]) or "no keys"
        raise BadInput(f"{path}: expected keys that contain {ENCODER!r}, got prefixes {prefixes}: no event encoder")
    return state


def find_binding_by_shapes(path: Path, state: Mapping[str, torch.Tensor]) -> str:
    """Find the binding whose event encoder has weights of these shapes; raise `BadInput` if none has."""
    for name, shapes in SHAPES.items():
        weights = {key: state.get(IMAGE_HALF + key) for key in shapes}
        if all(weight is not None and tuple(weight.shape) == shapes[key] for key, weight in weights.items()):
            return name
    patches = state.get(f"{IMAGE_HALF}conv1.weight")
    shape = "none" if patches is None else "x".join(map(str, patches.shape))
    raise BadInput(
        f"{path}: expected the shapes of {' or '.join(SHAPES)}, got {IMAGE_HALF}conv1.weight of shape {shape};"
        " name the binding with --binding"
    )


def load_image_weights(encoder: TorchEncoder, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Load the image half of a state into an encoder.

    Raises:
        WeightsMismatch: the encoder has other shapes; the message names weights.
        BadInput: a weight is not finite. On any error the encoder's weights are unchanged.
    """
    half = {name: weight for name, weight in state.items() if name.startswith(IMAGE_HALF)}
    tensors.check_state(path, half, encoder.module.state_dict())
    for name, weight in half.items():
        if not weight.isfinite().all():
            raise BadInput(f"{path}: {name!r} is not finite; its training diverged")
    encoder.module.load_state_dict(half)


def _check_text_half(binder: Binder, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Warn if the checkpoint's text half is not the binding's: then the encoders may not share a space."""
    from anybind.plugin import TorchEncoder  # imports torch

    text = binder.encoder("text") if "text" in binder.modalities else None
    if not isinstance(text, TorchEncoder):
        return
    different = []
    for name, weight in text.module.state_dict().items():
        other = state.get(name.removeprefix("text."))
        if other is not None and weight.ndim and not _is_close(weight, other):  # a scalar is the trained logit scale
            different.append(name)
    if different:
        warnings.warn(
            f"{path}: the text half differs from {binder.name}'s in {len(different)} weights, such as {different[0]}:"
            " the event encoder may be of another space",
            AnybindWarning,
            stacklevel=3,
        )


def _is_close(weight: torch.Tensor, other: torch.Tensor) -> bool:
    """Check whether two weights are equal up to the rounding of a half-precision file."""
    import torch

    return weight.shape == other.shape and torch.allclose(weight, other.to(weight.dtype), rtol=1e-2, atol=1e-4)
