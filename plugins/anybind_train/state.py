"""What a killed run goes on from: one safetensors file of trained weights, moments and the place in the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from anybind.plugin import BadInput, BadOption, tensors
from anybind_train.student import WeightAverage


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        recipe, data: hashes of what it runs on; a run goes on only where both are the same.
        epoch, batch: of the next step.
        best: the best value of the probe's metric so far; None before the first probe.
        probes: every probe so far: `epoch` and its metrics.
    """

    recipe: str
    data: str
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    probes: list[dict[str, float]] | None = None


def get_trained_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """The trained parameters and all buffers of a module by name, on the CPU."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: each.detach().cpu() for name, each in module.state_dict().items() if name not in frozen}


def save_state(
    path: Path, progress: Progress, module: nn.Module, optimiser: torch.optim.Optimizer, weight_average: WeightAverage
) -> None:
    """Write the file, whole or not at all.

    Raises:
        BadInput: the disk is full, or a weight is not finite (the file that was there stays).
    """
    state = {f"weights.{name}": each for name, each in get_trained_state(module).items()}
    state |= {f"average.{name}": each.cpu() for name, each in weight_average.state.items()}
    for name, parameter in module.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            state[f"optimiser.{name}.{key}"] = torch.as_tensor(value).detach().cpu()
    check_finite(state, progress, path)
    tensors.write_tensors(path, state, asdict(progress))


def check_finite(tensors: Mapping[str, torch.Tensor], progress: Progress, path: Path) -> None:
    """Raise `BadInput`, naming the first tensor that holds what is no number, before anything is written over."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BadInput(
                f"{name} is not finite after epoch {progress.epoch}, batch {progress.batch}; {path} stays as it was"
            )


def load_state(
    path: Path, expected: Progress, module: nn.Module, optimiser: torch.optim.Optimizer, weight_average: WeightAverage
) -> Progress:
    """Put everything back as it was, and say how far the run had come.

    Raises:
        BadInput: the file is missing or damaged.
        BadOption: it is of another recipe or other data.
        WeightsMismatch: it is of another module, as of a binding that was changed since.
    """
    card, stored = tensors.read_tensors(path, framework="torch")
    try:
        progress = Progress(**card)
    except TypeError as error:
        raise BadInput(f"{path}: not the state of a training run ({error})") from error
    for what in ("recipe", "data"):
        if getattr(progress, what) != getattr(expected, what):
            raise BadOption(f"{path} is of another {what}: it cannot go on with this one; choose another folder")
    weights, averages = (_select_prefix(stored, prefix) for prefix in ("weights.", "average."))
    tensors.check_state(path, weights, get_trained_state(module))
    tensors.check_state(path, averages, weight_average.state)
    module.load_state_dict(weights, strict=False)
    weight_average.state = {name: each.to(weight_average.state[name].device) for name, each in averages.items()}
    moments = _select_prefix(stored, "optimiser.")
    for name, parameter in module.named_parameters():
        own = _select_prefix(moments, f"{name}.")
        if parameter.requires_grad and own:
            # The count of steps stays on the CPU, where AdamW keeps it.
            optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in own.items()
            }
    return progress


def _select_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
