"""`anybind import-checkpoint`: the event tower in a checkpoint of the paper's authors, as a weight file of ours.

Their files hold `{"checkpoint": state dict}`. The event tower is a whole CLIP in OpenAI's naming, text half included,
behind keys that contain `encoder_k.`; its image half, named as open_clip names it too, is what a binding's event
tower takes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from anybind import AnybindWarning, Binder, load
from anybind.commandline import AsJson, print_json
from anybind.plugin import BadInput, BadOption, TorchEncoder, files, tensors

ENCODER = "encoder_k."
"""What stands, after whatever a wrapper put in front, before the names of the event tower's weights."""
IMAGE_HALF = "visual."
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "clip-vit-b-32": {"conv1.weight": (768, 3, 32, 32), "positional_embedding": (50, 768), "proj": (768, 512)},
    "clip-vit-l-14": {"conv1.weight": (1024, 3, 14, 14), "positional_embedding": (257, 1024), "proj": (1024, 768)},
}
"""The bindings that the authors' files fit, by the shapes that tell their image halves apart."""
NOTE = (
    "the checkpoint does not say how its frames were made: the card says how this binding makes them, while the"
    " authors' training counted by polarity, in [-1, 1], without CLIP's mean and deviation"
)


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A .pt file of the paper's authors, such as vitb.pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file to write.")],
    binding: Annotated[
        str | None, typer.Option(help="Whose event tower takes the weights; found by their sizes by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a checkpoint of the paper's authors into weights for an event tower; nothing in it is executed."""
    files.check_output(output)
    state = read_event_encoder(checkpoint)
    binder = load(binding or find_binding_by_shapes(checkpoint, state))
    encoder = binder.encoder("event")
    if not isinstance(encoder, TorchEncoder):
        raise BadOption(f"the event encoder of {binder.name} has no weights on torch that could be replaced")
    load_image_weights(encoder, checkpoint, state)
    _check_text_half(binder, checkpoint, state)
    encoder.save_weights(output)
    if as_json:
        described = {"output": str(output), "binding": binder.name, "space": vars(encoder.space), "note": NOTE}
        print_json({**described, "weights": encoder.weights_hash, "preprocessing": encoder.preprocessing})
    else:
        typer.echo(f"{output}: for the event tower of {binder.name}, as its option weights in a binding file")
        typer.echo(f"note: {NOTE}")


def read_event_encoder(path: Path) -> dict[str, torch.Tensor]:
    """The event encoder's weights by OpenAI's names, such as `visual.conv1.weight`; on the CPU, read as needed.

    Raises:
        BadInput: the file is missing or damaged, needs code to be run, or holds no event encoder.
    """
    held = tensors.load_torch(path)
    if isinstance(held, Mapping) and isinstance(held.get("checkpoint"), Mapping):
        held = held["checkpoint"]
    if not isinstance(held, Mapping) or not all(isinstance(key, str) for key in held):
        raise BadInput(f"{path} holds no weights by name; the authors' files hold {{'checkpoint': weights}}")
    state: dict[str, torch.Tensor] = {}
    for key, weight in held.items():
        _, found, name = key.partition(ENCODER)
        if not found:
            continue
        if name in state:
            raise BadInput(f"{path} holds two event encoders: {key!r} is there a second time, behind another prefix")
        if not _is_weight(weight):
            raise BadInput(f"{path}: {key!r} is no array of floating-point numbers")
        state[name] = weight
    if not state:
        begin = ", ".join(sorted({key.partition(".")[0] for key in held})[:5]) or "there is none"
        raise BadInput(f"{path} holds no event encoder: no key contains {ENCODER!r} (keys begin with: {begin})")
    return state


def _is_weight(value: Any) -> bool:
    dense = isinstance(value, torch.Tensor) and value.layout is torch.strided and value.device.type == "cpu"
    return dense and value.is_floating_point()


def find_binding_by_shapes(path: Path, state: Mapping[str, torch.Tensor]) -> str:
    """The binding whose event tower has an image half of these sizes; raises `BadInput` where none of ours has."""
    for name, sizes in SHAPES.items():
        found = {key: state.get(IMAGE_HALF + key) for key in sizes}
        if all(weight is not None and tuple(weight.shape) == sizes[key] for key, weight in found.items()):
            return name
    patches = state.get(f"{IMAGE_HALF}conv1.weight")
    shape = "none" if patches is None else "x".join(map(str, patches.shape))
    raise BadInput(
        f"{path} fits neither of {', '.join(SHAPES)} ({IMAGE_HALF}conv1.weight: {shape}); say whose event tower"
        " takes it with --binding"
    )


def load_image_weights(encoder: TorchEncoder, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Put the image half of a state into a tower.

    Raises:
        WeightsMismatch: the tower is of another shape; the message names weights.
        BadInput: a weight is not finite. Whatever is raised, the tower keeps the weights it had.
    """
    half = {name: weight for name, weight in state.items() if name.startswith(IMAGE_HALF)}
    tensors.check_state(path, half, encoder.module.state_dict())
    for name, weight in half.items():
        if not weight.isfinite().all():
            raise BadInput(f"{path}: {name!r} holds numbers that are not finite; the training that made it broke down")
    encoder.module.load_state_dict(half)


def _check_text_half(binder: Binder, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Warn when the text half beside the event tower is not the binding's: then the two may not share a space."""
    text = binder.encoder("text") if "text" in binder.modalities else None
    if not isinstance(text, TorchEncoder):
        return
    pairs = {name: (ours, state.get(name.removeprefix("text."))) for name, ours in text.module.state_dict().items()}
    others = [
        name
        for name, (ours, theirs) in pairs.items()
        if theirs is not None and ours.ndim and not _is_close(ours, theirs)  # the scale of logits may have been trained
    ]
    if others:
        warnings.warn(
            f"the text half in {path} is not that of {binder.name} ({len(others)} weights differ, such as {others[0]}):"
            " its event tower may be of another space",
            AnybindWarning,
            stacklevel=3,
        )


def _is_close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal but for the rounding of a file in half precision."""
    return ours.shape == theirs.shape and torch.allclose(ours, theirs.to(ours.dtype), rtol=1e-2, atol=1e-4)
