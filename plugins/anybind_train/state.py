"""The resumable state of a run: one safetensors file of trained weights, optimiser moments and progress."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from anybind.plugin import BadInput, BadOption, tensors
from anybind_train.recipe import UNHASHED
from anybind_train.student import WeightAverage


@dataclass
class Progress:
    """The progress of a run.

    Attributes:
        recipe, data: hashes of the recipe and the data; a run is resumed only with both the same.
        epoch, batch: indices of the next step.
        best: the best value of the probe's metric so far; None before the first probe.
        probes: every probe so far: `epoch` and its metrics.
        skipped: the error of each invalid sample that was left out, by id.
        settings: the recipe's keys; a state of another recipe is refused with those that differ.
    """

    recipe: str
    data: str
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    probes: list[dict[str, float]] | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)


def get_trained_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the trained parameters and all buffers of a module by name, on the CPU."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: each.detach().cpu() for name, each in module.state_dict().items() if name not in frozen}


def save_state(
    path: Path,
    progress: Progress,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    weight_average: WeightAverage,
    loss_parameters: Mapping[str, nn.Parameter] = MappingProxyType({}),
) -> None:
    """Write the state atomically; `loss_parameters` are the learned numbers of the losses.

    Raises:
        BadInput: the disk is full, or a weight is not finite (an existing file is kept).
    """
    state = {f"weights.{name}": each for name, each in get_trained_state(module).items()}
    state |= {f"average.{name}": each.cpu() for name, each in weight_average.state.items()}
    state |= {f"loss.{name}": each.detach().cpu() for name, each in loss_parameters.items()}
    for name, parameter in _list_parameters(module, loss_parameters):
        for key, value in optimiser.state.get(parameter, {}).items():
            state[f"optimiser.{name}.{key}"] = torch.as_tensor(value).detach().cpu()
    check_finite(state, progress, path)
    tensors.write_tensors(path, state, asdict(progress))


def check_finite(tensors: Mapping[str, torch.Tensor], progress: Progress, path: Path) -> None:
    """Raise `BadInput` with the name of the first tensor that is not finite, before a file is overwritten."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BadInput(
                f"{name} is not finite after epoch {progress.epoch}, batch {progress.batch}; {path} was not overwritten"
            )


def load_state(
    path: Path,
    expected: Progress,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    weight_average: WeightAverage,
    loss_parameters: Mapping[str, nn.Parameter] = MappingProxyType({}),
) -> Progress:
    """Restore module, optimiser, average and learned numbers of the losses from a state; return the progress.

    Raises:
        BadInput: the file is missing or damaged.
        BadOption: the state is of another recipe or other data than `expected`.
        WeightsMismatch: the state is of another module, as after a change of the binding.
    """
    card, stored = tensors.read_tensors(path, framework="torch")
    try:
        progress = Progress(**card)
    except TypeError as error:
        raise BadInput(f"{path}: not the state of a training run ({error})") from error
    if progress.recipe != expected.recipe:
        changes = _list_changes(progress.settings, expected.settings)
        raise BadOption(
            f"{path}: the run was started with another recipe{': ' if changes else ''}{', '.join(changes)};"
            " resume with that one, or choose another folder"
        )
    if progress.data != expected.data:
        raise BadOption(
            f"{path}: the run was started with other data (hash {progress.data}, now {expected.data}): samples, their"
            " classes or file sizes changed; choose another folder"
        )
    progress.settings = expected.settings  # its name and checkpoint_steps may differ
    weights, averages, learned = (_select_prefix(stored, prefix) for prefix in ("weights.", "average.", "loss."))
    tensors.check_state(path, weights, get_trained_state(module))
    tensors.check_state(path, averages, weight_average.state)
    tensors.check_state(path, learned, loss_parameters)
    module.load_state_dict(weights, strict=False)
    with torch.no_grad():
        for name, parameter in loss_parameters.items():
            parameter.copy_(learned[name])
    weight_average.state = {name: each.to(weight_average.state[name].device) for name, each in averages.items()}
    moments = _select_prefix(stored, "optimiser.")
    for name, parameter in _list_parameters(module, loss_parameters):
        own = _select_prefix(moments, f"{name}.")
        if parameter.requires_grad and own:
            # AdamW keeps its step count on the CPU.
            optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in own.items()
            }
    return progress


def _list_changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """List the keys of a recipe that differ from those of a state: `optimiser.lr (0.01, now 0.02)`."""
    if not before:  # a state from before recipes were saved in it
        return []
    old, new = _flatten_table(before), _flatten_table(after)
    keys = [key for key in dict.fromkeys([*old, *new]) if key not in UNHASHED and old.get(key) != new.get(key)]
    return [f"{key} ({_format_setting(old, key)}, now {_format_setting(new, key)})" for key in keys]


def _flatten_table(value: object, key: str = "") -> dict[str, object]:
    """Flatten nested tables and lists of tables to values by dotted key, as `--set` names them."""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        value = {str(index): each for index, each in enumerate(value)}
    if not (isinstance(value, Mapping) and value):
        return {key: value}
    prefix = f"{key}." if key else ""
    return {name: each for part in value for name, each in _flatten_table(value[part], prefix + part).items()}


def _format_setting(settings: Mapping[str, object], key: str) -> str:
    return textwrap.shorten(json.dumps(settings[key]), 60, placeholder=" ...") if key in settings else "not set"


def _list_parameters(module: nn.Module, loss_parameters: Mapping[str, nn.Parameter]) -> list[tuple[str, nn.Parameter]]:
    learned = [(f"loss.{name}", parameter) for name, parameter in loss_parameters.items()]
    return [*module.named_parameters(), *learned]


def _select_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
