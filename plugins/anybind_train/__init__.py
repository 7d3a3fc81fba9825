"""Bundled plugin: training an encoder into a frozen space - losses, the engine, the command."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_losses(register: Register) -> None:
    """Terms of a recipe's loss."""
    for name, summary, target in (
        ("contrastive", "Eq. 2: InfoNCE between student and teacher", "pairs:Contrastive"),
        ("cosine", "1 - cosine between student and teacher", "pairs:Cosine"),
        ("zero-shot", "Eq. 3: what student and teacher say of the texts", "words:ZeroShot"),
        ("prediction", "Eq. 6: cross-entropy to the label's text", "words:Prediction"),
        ("kl", "Kullback-Leibler divergence of student and teacher", "divergence:KL"),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_train.losses.{target}", extra="train"))


@hookimpl
def register_tasks(register: Register) -> None:
    """Questions that something is learned for."""
    for name, summary, target in (
        ("few-shot", "classification after learning from a few samples a class", "learning_tasks:FewShot"),
        ("fine-tune", "classification after learning from the training part", "learning_tasks:FineTune"),
        (
            "loss-ablation",
            "unseen classes by words, by epoch, with each loss left out in turn",
            "ablation_task:LossAblation",
        ),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_train.{target}", extra="train"))


@hookimpl
def register_encoders(register: Register) -> None:
    """Text towers with learned prompts."""
    register(
        Spec(
            name="prompted-text",
            summary="any text tower, with learned context vectors in front of class names",
            target="anybind_train.prompts:PromptedText",
            consumes=("text",),
            weights_licence="as the text tower's",
            extra="train",
        )
    )


@hookimpl
def register_commands(register: Register) -> None:
    """What a user types."""
    for name, summary in (
        ("train", "Train an encoder into a frozen space, by a recipe."),
        ("import-checkpoint", "Turn a published checkpoint of an event tower into weights of ours."),
    ):
        module = name.replace("-", "_")
        target = f"anybind_train.{module}:{module}" if name != "train" else "anybind_train.train_command:train"
        register(Spec(name=name, summary=summary, target=target, extra="train"))
