"""The student: the encoder to train, its trainable parameters, LoRA, and the average of its weights."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import torch
from torch import nn

from anybind import Binder, Binding, find_binding
from anybind.plugin import BadOption, TorchEncoder, errors
from anybind_train.metrics_log import TrainedEncoder
from anybind_train.recipe import PROMPT_METHODS, Recipe, StudentConfig

NORMS = (nn.modules.batchnorm._BatchNorm,)


def load_student_binder(recipe: Recipe, device: str, binding: Binding | None = None) -> Binder:
    """Load the recipe's binding, with the recipe's options and weights for the student.

    Args:
        recipe: the training recipe.
        device: torch device of the encoders.
        binding: the recipe's binding. [default: found by its name]

    Raises:
        UnknownName, BadOption, BadInput, WeightsMismatch: the binding or its student cannot be loaded.
    """
    binding = binding or find_binding(recipe.binding)
    name = recipe.student.encoder
    student = Binding.configure(name) if name else binding.encoders.get(recipe.modality)
    if student is None:
        near = errors.suggest_names(recipe.modality, binding.encoders)
        raise BadOption(f"binding {binding.name!r} has no encoder for {recipe.modality!r}{near}")
    options: dict[str, object] = {**student.options, **recipe.student.options}
    if not recipe.student.pretrained and "weights" not in recipe.student.options:
        options.pop("weights", None)
    encoders = {**binding.encoders, recipe.modality: Binding.configure(student.name, **options)}
    if recipe.student.method in PROMPT_METHODS:
        text = encoders["text"]
        options = {"use": text.name, "options": text.options, "context": recipe.student.context}
        if recipe.student.context_start:
            options["start"] = recipe.student.context_start
        encoders["text"] = Binding.configure("prompted-text", **options)
    binder = Binder(replace(binding, encoders=encoders), device, backend="torch")
    encoder = binder.encoder(recipe.modality)
    if not isinstance(encoder, TorchEncoder):
        raise BadOption(f"expected a torch encoder to train, got {student.name!r} ({type(encoder).__name__})")
    if recipe.student.weights:
        encoder.load_weights(recipe.student.weights)
    return binder


def describe_trained(binder: Binder, recipe: Recipe, metric: str) -> TrainedEncoder:
    """Describe the encoder that a run trains, JSON-like."""
    use = binder.binding.encoders[recipe.modality]
    options = {name: value for name, value in use.options.items() if name != "weights"}
    return {
        "encoder": "" if recipe.student.method in PROMPT_METHODS else use.name,
        "options": json.loads(json.dumps(options)),
        "metric": metric,
    }


class StudentModule(nn.Module):
    """An encoder as one module: a batch of prepared inputs to (n, d) embeddings in its own space, not of norm 1."""

    def __init__(self, encoder: TorchEncoder, config: StudentConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.texts: torch.Tensor | None = None  # learned text embeddings are of students with prompts alone
        self.module = encoder.module
        select_trained_parameters(self.module, config)

    def forward(self, batch: object) -> torch.Tensor:
        """Return (n, d) embeddings, not of norm 1, float32 also in mixed precision."""
        return self.encoder.features(batch).float()

    def train(self, mode: bool = True) -> StudentModule:
        """Set training mode for trained modules only: frozen ones have no dropout and keep their statistics."""
        super().train(mode)
        for module in self.module.modules():
            parameters = list(module.parameters())  # submodules included: they may be trained where its own are not
            frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
            if frozen or (isinstance(module, NORMS) and self.config.batch_norm == "frozen"):
                module.train(False)
        return self


def select_trained_parameters(module: nn.Module, config: StudentConfig) -> None:
    """Set which parameters are trained, by the recipe's method; for `lora`, add its low-rank layers.

    Raises:
        BadOption: no parameter name begins with an entry of `train`.
    """
    if config.method == "lora":
        add_lora(module, config)
    elif config.method not in ("full", "joint"):
        module.requires_grad_(False)
    elif config.train:
        names = [name for name, _ in module.named_parameters()]
        for prefix in config.train:
            if not any(name.startswith(prefix) for name in names):
                prefixes = {re.match(r"[^.]+(\.\d+)?", name).group() for name in names}  # pyright: ignore[reportOptionalMemberAccess]
                raise BadOption(
                    f"student.train: no parameter name begins with {prefix!r}{errors.suggest_names(prefix, prefixes)}"
                )
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name.startswith(config.train))
    else:
        module.requires_grad_(True)


def add_lora(module: nn.Module, config: StudentConfig) -> None:
    """Add low-rank layers to the layers whose names end with one of `targets`; freeze everything else.

    Grouped convolutions are left out: they have few weights, and peft cannot merge their low-rank layers. So are layers
    inside torch's attention, which uses their weights directly and would bypass the low-rank layers.
    """
    from peft import LoraConfig, inject_adapter_in_model

    modules = dict(module.named_modules())
    attention = tuple(f"{name}." for name, layer in modules.items() if isinstance(layer, nn.MultiheadAttention))
    layers = [name for name, layer in modules.items() if _supports_lora(layer) and not name.startswith(attention)]
    targets = [name for name in layers if not config.targets or name.endswith(config.targets)]
    if not targets:
        suffixes = ", ".join(sorted({name.rpartition(".")[2] for name in layers})[:8])
        raise BadOption(f"student.targets: no layer name ends with {', '.join(config.targets)} (layers: {suffixes})")
    names = "|".join(map(re.escape, targets))  # a regular expression: peft matches a list by suffix
    lora = LoraConfig(r=config.rank, lora_alpha=2 * config.rank, target_modules=names, lora_dropout=0.0)
    inject_adapter_in_model(lora, module)


def _supports_lora(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def merge_lora(encoder: TorchEncoder) -> TorchEncoder:
    """Return a copy of an encoder with its LoRA layers merged into ordinary weights."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = encoder.copy()
    for name, layer in list(merged.module.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(merged.module.get_submodule(parent), last, layer.get_base_layer())
    return merged


class WeightAverage:
    """An exponential moving average (EMA) of a module's weights and statistics; `swap` loads it into the module."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise BadOption(f"student.ema_decay: expected a number from 0 to below 1, got {decay}")
        self.module, self.decay = module, decay
        self.state = {name: tensor.detach().clone() for name, tensor in self._list_float_tensors()} if decay else {}
        self._module_state: dict[str, torch.Tensor] | None = None

    def _list_float_tensors(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, each) for name, each in self.module.state_dict().items() if each.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step; the decay is smaller in the first steps, as in TensorFlow's EMA."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            for name, tensor in self._list_float_tensors():
                self.state[name].lerp_(tensor.to(self.state[name].dtype), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Load the average into the module; a second call restores the module's own weights."""
        if not self.decay:
            return
        state, self._module_state = self._module_state, None
        if state is None:
            state = self.state
            self._module_state = {name: tensor.clone() for name, tensor in self._list_float_tensors()}
        for name, tensor in self._list_float_tensors():
            tensor.copy_(state[name])
