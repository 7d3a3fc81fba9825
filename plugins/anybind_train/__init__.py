"""Bundled plugin: training an encoder into a frozen embedding space - recipes, losses, the engine, the command.

It declares the kind `loss`: a plugin with losses imports `Loss` and `LossSpec` from `anybind_train.loss`.

    from anybind_train import train
    train("recipe.toml", "data/", "run/").metrics
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, EncoderSpec, Registrar, TaskSpec, hookimpl, kinds
from anybind_train.loss import LossSpec

if TYPE_CHECKING:
    from anybind_train.training import TrainingResult, train

__all__ = ["TrainingResult", "train"]

anybind_contract = 1

LOSSES = (
    ("contrastive", "Eq. 2: InfoNCE between student and teacher", "pairs:ContrastiveLoss"),
    ("cosine", "1 - cosine between student and teacher", "pairs:CosineLoss"),
    ("zero-shot", "Eq. 3: cross-entropy of the similarities to texts with label or teacher", "texts:ZeroShotLoss"),
    ("prediction", "Eq. 6: cross-entropy to the label's text", "texts:PredictionLoss"),
    ("kl", "Kullback-Leibler divergence of student and teacher", "divergence:KLLoss"),
    ("author-contrastive", "L_ct of the authors' code: images as queries, events as keys",
     "author_code:AuthorContrastiveLoss"),
    ("author-zero-shot", "L_zs of the authors' code: in both directions, raw embeddings",
     "author_code:AuthorZeroShotLoss"),
    ("author-kl", "L_kl of the authors' code: similarities among images by Sinkhorn steps",
     "author_code:AuthorKLLoss"),
)  # fmt: skip
TASKS = (
    ("few-shot", "classification after training on a few samples a class", "fine_tune_tasks:FewShot"),
    ("fine-tune", "classification after training on the training split", "fine_tune_tasks:FineTune"),
    ("loss-ablation", "zero-shot on unseen classes by epoch, without each loss", "ablation_task:LossAblation"),
)
COMMANDS = (
    ("train", "Train an encoder into a frozen embedding space, by a recipe.", "train_command:train"),
    ("import-checkpoint", "Convert a published event-encoder checkpoint to a weight file.",
     "import_checkpoint:import_checkpoint"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Register the kind `loss`, losses, training tasks, the encoder with learned prompts, and commands."""
    registry.add(
        kinds.KindSpec(
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
            summary="any text encoder, with learned context vectors before class names",
            target="anybind_train.prompts:PromptedText",
            modality="text",
            weights_licence="that of the text encoder",
            extra="train",
        )
    )
    registry.add(
        EncoderSpec(
            name="projected",
            summary="an encoder of another binding, projected into the space of a base",
            target="anybind_train.projected:ProjectedEncoder",
            modality="",
            weights_licence="that of the backbone",
            extra="train",
        )
    )
    for name, summary, target in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_train.{target}", extra="train"))


def __getattr__(name: str) -> object:
    """Import the public functions on first use, so that listing the plugin imports no torch."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_train.training"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
