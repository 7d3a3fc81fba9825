"""The encoder that learns: which of its weights do, and how the others are kept as they are."""

from __future__ import annotations

import re

import torch
from torch import nn
from torch.nn import functional

from anybind import Binder, Binding, find_binding
from anybind.plugin import BadOption, TorchEncoder, errors
from anybind_train.recipe import Recipe, StudentConfig

NORMS = (nn.modules.batchnorm._BatchNorm,)


def load_student_binder(recipe: Recipe, device: str, binding: Binding | None = None) -> Binder:
    """The recipe's binding, whose student has the recipe's options and weights.

    Args:
        recipe: what is trained.
        device: where towers run, as torch names it.
        binding: the recipe's binding itself; found by its name if left out.

    Raises:
        UnknownName, BadOption, BadInput, WeightsMismatch: the binding or its student cannot be made.
    """
    binding = binding or find_binding(recipe.binding)
    use = binding.encoders.get(recipe.modality)
    if use is None:
        near = errors.suggest_names(recipe.modality, binding.encoders)
        raise BadOption(f"binding {binding.name!r} has no encoder for {recipe.modality!r}{near}")
    options: dict[str, object] = {**use.options, **recipe.student.options}
    if not recipe.student.pretrained and "weights" not in recipe.student.options:
        options.pop("weights", None)
    encoders = {**binding.encoders, recipe.modality: Binding.configure(use.name, **options)}
    if recipe.student.method == "prompts":
        words = encoders["text"]
        options = {"use": words.name, "options": words.options, "context": recipe.student.context}
        encoders["text"] = Binding.configure("prompted-text", **options)
    binder = Binder(Binding(binding.name, encoders, binding.summary, binding.space, binding.adapters), device)
    encoder = binder.encoder(recipe.modality)
    if not isinstance(encoder, TorchEncoder):
        raise BadOption(f"the encoder {use.name!r} is no tower on torch: it cannot be trained")
    if recipe.student.weights:
        encoder.load_weights(recipe.student.weights)
    return binder


class StudentModule(nn.Module):
    """A tower as one module: a batch of prepared inputs to (n, d) unit vectors in the tower's own space."""

    def __init__(self, encoder: TorchEncoder, config: StudentConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.texts: torch.Tensor | None = None  # words that learn, as `PromptStudent` has them
        self.module = encoder.module
        select_trained_parameters(self.module, config)

    def forward(self, batch: object) -> torch.Tensor:
        """(n, d), norm 1, float32 also in mixed precision."""
        return functional.normalize(self.encoder.features(batch).float(), dim=1)

    def train(self, mode: bool = True) -> StudentModule:
        """Training mode for the trained parts only: what is frozen drops out nothing and keeps its statistics."""
        super().train(mode)
        for part in self.module.modules():
            parameters = list(part.parameters())  # with those of the parts inside: they may learn where its own do not
            frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
            if frozen or (isinstance(part, NORMS) and self.config.batch_norm == "frozen"):
                part.train(False)
        return self


def select_trained_parameters(module: nn.Module, config: StudentConfig) -> None:
    """Set which parameters learn, by the recipe's method; for `lora`, put its additions in.

    Raises:
        BadOption: a name that no parameter begins with, or nothing is left to train.
    """
    if config.method == "lora":
        add_lora(module, config)
    elif config.method != "full":
        module.requires_grad_(False)
    elif config.train:
        names = [name for name, _ in module.named_parameters()]
        for start in config.train:
            if not any(name.startswith(start) for name in names):
                known = {re.match(r"[^.]+(\.\d+)?", name).group() for name in names}  # pyright: ignore[reportOptionalMemberAccess]
                raise BadOption(
                    f"student.train: no parameter begins with {start!r}{errors.suggest_names(start, known)}"
                )
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name.startswith(config.train))
    else:
        module.requires_grad_(True)


def add_lora(module: nn.Module, config: StudentConfig) -> None:
    """Put low-rank additions beside the layers whose names end as `targets` says; everything else is frozen.

    Left out are convolutions in groups, which have few weights and whose additions cannot be merged, and what is inside
    torch's attention, which reads its layers' weights and passes by whatever stands beside them.
    """
    from peft import LoraConfig, inject_adapter_in_model

    inside = tuple(f"{name}." for name, part in module.named_modules() if isinstance(part, nn.MultiheadAttention))
    layers = [name for name, part in module.named_modules() if _supports_lora(part) and not name.startswith(inside)]
    chosen = [name for name in layers if not config.targets or name.endswith(config.targets)]
    if not chosen:
        endings = {name.rpartition(".")[2] for name in layers}
        raise BadOption(
            f"student.targets: no layer ends in {', '.join(config.targets)} (there are {', '.join(sorted(endings)[:8])})"
        )
    names = "|".join(map(re.escape, chosen))  # a list would be taken for endings
    config = LoraConfig(r=config.rank, lora_alpha=2 * config.rank, target_modules=names, lora_dropout=0.0)
    inject_adapter_in_model(config, module)


def _supports_lora(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1)


def merge_lora(encoder: TorchEncoder) -> TorchEncoder:
    """A tower of ordinary weights that embeds as one with LoRA's additions does."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = encoder.copy()
    for name, part in list(merged.module.named_modules()):
        if isinstance(part, BaseTunerLayer):
            part.merge(safe_merge=True)
            outer, _, last = name.rpartition(".")
            setattr(merged.module.get_submodule(outer), last, part.get_base_layer())
    return merged


class WeightAverage:
    """Exponential average of trained weights and of statistics, kept beside them; `swap` lends it to the module."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise BadOption(f"student.average must be from 0 to below 1, got {decay}")
        self.module, self.decay = module, decay
        self.state = {name: tensor.detach().clone() for name, tensor in self._list_float_tensors()} if decay else {}
        self._module_state: dict[str, torch.Tensor] | None = None

    def _list_float_tensors(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, each) for name, each in self.module.state_dict().items() if each.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step; early ones count for more, so that the start is soon forgotten."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            for name, tensor in self._list_float_tensors():
                self.state[name].lerp_(tensor.to(self.state[name].dtype), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Lay the average over the module's weights; a second call gives those back."""
        if not self.decay:
            return
        state, self._module_state = self._module_state, None
        if state is None:
            state, self._module_state = (
                self.state,
                {name: tensor.clone() for name, tensor in self._list_float_tensors()},
            )
        for name, tensor in self._list_float_tensors():
            tensor.copy_(state[name])
