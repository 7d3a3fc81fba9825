"""`WeightedSum`: the whole loss, Eq. 5 of the paper, of registered terms as a recipe lists them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

from anybind.plugin import BadOption, create_part, errors, find_part, tables
from anybind_train.loss import Loss, TrainingBatch


@dataclass(frozen=True)
class LossTerm:
    """One term of the whole loss: a registered loss by name, its weight and its options.

    Attributes:
        space: where its vectors are compared: `common`, the binding's common space, in which the words are, or
            `own`, the encoders' own, before any adapter. In bindings without adapters they are one.
    """

    use: str
    weight: float = 1.0
    options: Mapping[str, object] = field(default_factory=dict)
    space: str = "common"


SPACES = ("common", "own")

PRESETS: Mapping[str, tuple[LossTerm, ...]] = {
    "paper": (
        LossTerm("contrastive", 1.0, {"temperature": 1.0}),
        LossTerm("zero-shot", 0.1, {"temperature": 2.0}),
        LossTerm("kl", 1.0, {"over": "dimensions", "temperature": 1.0}),
    ),
    "author-code": (
        LossTerm("contrastive", 2 * 0.02, {"temperature": 0.02}),
        LossTerm("zero-shot", 0.1, {"temperature": 2.0, "both_directions": True}),
        LossTerm("kl", 1.0, {"over": "batch", "temperature": 0.01, "first": "teacher", "sinkhorn": 3}),
    ),
}
"""The paper's L = L_ct + 0.1 L_zs + L_kl, and what the authors' published code has in its place."""


class WeightedSum(Loss):
    """L, Eq. 5 of the paper: the sum of some losses, each times its weight.

        L = sum_k weight_k L_k,   in the paper L = L_ct + alpha L_zs + L_kl with alpha = 0.1

    Attributes:
        terms: what it was made of.
        losses: the loss of each term by its name; the second of one name is called `NAME 2`.
    """

    def __init__(self, terms: Sequence[LossTerm]) -> None:
        """Make the loss of each term.

        Raises:
            UnknownName: a term's loss is not installed; the message offers the nearest ones.
            BadOption: there is no term, no weight above 0, or a term has a wrong option; the message says which term.
            PluginError: a plugin registered as a loss what is none.
        """
        if not any(term.weight > 0 for term in terms):
            raise BadOption("a recipe needs at least one loss with a weight above 0")
        self.terms = tuple(terms)
        self.losses: dict[str, Loss] = {}
        for number, term in enumerate(self.terms, start=1):
            doubles = sum(other.use == term.use for other in self.terms[:number])
            self.losses[term.use if doubles == 1 else f"{term.use} {doubles}"] = _create_loss(term, number)
        self.needs = tuple(dict.fromkeys(name for loss in self.losses.values() for name in loss.needs))
        self.compares_rows = any(loss.compares_rows for loss in self.losses.values())

    @classmethod
    def from_recipe(cls, losses: str | Sequence[Mapping[str, object]]) -> Self:
        """The sum that a recipe asks for.

        Args:
            given: `losses = "paper"`, the name of a preset, or the tables `[[losses]]`: `use`, `weight` (1 unless
                given), `space`, and the options of that loss.

        Raises:
            UnknownName, BadOption, PluginError: as when made from terms; or a preset that is none, or tables
                with wrong keys.
        """
        if isinstance(losses, str):
            if losses not in PRESETS:
                raise BadOption(f"there is no preset of losses {losses!r}{errors.suggest_names(losses, PRESETS)}")
            return cls(PRESETS[losses])
        if not isinstance(losses, Sequence):
            raise BadOption(f"losses must be the name of a preset or tables [[losses]], got {losses!r}")
        return cls([_parse_term(f"[[losses]] {number}", table) for number, table in enumerate(losses, start=1)])

    def compute_terms(self, batches: Mapping[str, TrainingBatch]) -> dict[str, torch.Tensor]:
        """Each loss by name, not weighted, of the batch in its term's space."""
        named = zip(self.terms, self.losses.items(), strict=True)
        return {name: loss(batches[term.space]) for term, (name, loss) in named}

    def sum_terms(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of `values`."""
        weighted = [term.weight * values[name] for term, name in zip(self.terms, self.losses, strict=True)]
        return torch.stack(weighted).sum()

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        return self.sum_terms(self.compute_terms(dict.fromkeys(SPACES, batch)))


def _create_loss(term: LossTerm, number: int) -> Loss:
    try:
        loss = create_part("loss", term.use, **term.options)
    except BadOption as error:
        raise BadOption(f"[[losses]] {number} ({term.use}): {error}") from error
    if not isinstance(loss, Loss):
        part = find_part("loss", term.use)
        raise errors.PluginError(f"loss {term.use!r} of {part.distribution} made a {type(loss).__name__}")
    return loss


def _parse_term(where: str, table: Mapping[str, object]) -> LossTerm:
    tables.check_keys(where, table, allowed=table if isinstance(table, Mapping) else (), required=("use",))
    use, weight = table["use"], table.get("weight", 1.0)
    if not isinstance(use, str):
        raise BadOption(f"{where}: use must be the name of a loss, got {use!r}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not (math.isfinite(weight) and weight >= 0):
        raise BadOption(f"{where} ({use}): weight must be a number, 0 or more, got {weight!r}")
    space = table.get("space", "common")
    if space not in SPACES:
        raise BadOption(f"{where} ({use}): space must be {' or '.join(SPACES)}, got {space!r}")
    options = {key: value for key, value in table.items() if key not in ("use", "weight", "space")}
    return LossTerm(use, float(weight), options, str(space))
