"""Bundled plugin: training an encoder into a frozen space - losses, the engine, the command.

It declares the kind `loss`: a plugin that brings losses imports `Loss` and `LossSpec` from `anybind_train.loss`.

    from anybind_train import train
    train("recipe.toml", "data/", "run/").metrics
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, EncoderSpec, KindSpec, Registrar, TaskSpec, hookimpl
from anybind_train.loss import LossSpec

if TYPE_CHECKING:
    from anybind_train.training import TrainingResult, train

__all__ = ["TrainingResult", "train"]

anybind_contract = 1

LOSSES = (
    ("contrastive", "Eq. 2: InfoNCE between student and teacher", "pairs:Contrastive"),
    ("cosine", "1 - cosine between student and teacher", "pairs:Cosine"),
    ("zero-shot", "Eq. 3: what student and teacher say of the texts", "texts:ZeroShot"),
    ("prediction", "Eq. 6: cross-entropy to the label's text", "texts:Prediction"),
    ("kl", "Kullback-Leibler divergence of student and teacher", "divergence:KL"),
)
TASKS = (
    ("few-shot", "classification after learning from a few samples a class", "fine_tune_tasks:FewShot"),
    ("fine-tune", "classification after learning from the training part", "fine_tune_tasks:FineTune"),
    (
        "loss-ablation",
        "unseen classes by words, by epoch, with each loss left out in turn",
        "ablation_task:LossAblation",
    ),
)
COMMANDS = (
    ("train", "Train an encoder into a frozen space, by a recipe.", "train_command:train"),
    ("import-checkpoint", "Turn a published checkpoint of an event tower into weights of ours.",
     "import_checkpoint:import_checkpoint"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add the kind `loss`, the losses, tasks that train, the encoder of learned prompts, and the commands."""
    registry.add(
        KindSpec(
            name="loss",
            plural="losses",
            summary="terms of a recipe's loss",
            target="anybind_train.loss:Loss",
            spec="anybind_train.loss:LossSpec",
            checks="anybind_train.conformance:CHECKS",
        )
    )
    for name, summary, target in LOSSES:
        registry.add(LossSpec(name=name, summary=summary, target=f"anybind_train.losses.{target}", extra="train"))
    for name, summary, target in TASKS:
        registry.add(TaskSpec(name=name, summary=summary, target=f"anybind_train.{target}", extra="train"))
    registry.add(
        EncoderSpec(
            name="prompted-text",
            summary="any text tower, with learned context vectors in front of class names",
            target="anybind_train.prompts:PromptedText",
            modality="text",
            weights_licence="as the text tower's",
            extra="train",
        )
    )
    for name, summary, target in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_train.{target}", extra="train"))


def __getattr__(name: str) -> object:
    """Import what is public when it is first used, so that listing the plugin stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_train.training"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
