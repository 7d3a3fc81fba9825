"""`WeightedSum`: the total loss, Eq. 5 of the paper, of the registered losses that a recipe lists."""

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
    """A term of the total loss.

    Attributes:
        use: name of a registered loss.
        weight: 0 or more.
        options: of the loss.
        space: the space of its embeddings: `common`, the binding's common space with the texts, or `own`, the
            encoders' own, before any adapter. In bindings without adapters they are the same.
    """

    use: str
    weight: float = 1.0
    options: Mapping[str, object] = field(default_factory=dict)
    space: str = "common"


SPACES = ("common", "own")


def _list_author_terms(*, mended: bool) -> tuple[LossTerm, ...]:
    return (
        LossTerm("author-contrastive", 2 * 0.02, {"temperature": 0.02, "gradient": mended}),
        LossTerm("author-zero-shot", 0.1, {"temperature": 2.0}),
        LossTerm("author-kl", 1.0, {"temperature": 0.01, "sinkhorn": 3, "in_logarithms": mended}),
    )


def _list_paper_terms(**target: str) -> tuple[LossTerm, ...]:
    return (
        LossTerm("contrastive", 1.0, {"temperature": 1.0}),
        LossTerm("zero-shot", 0.1, {**target, "temperature": 2.0}),
        LossTerm("kl", 1.0, {"over": "dimensions", "temperature": 1.0}),
    )


PRESETS: Mapping[str, tuple[LossTerm, ...]] = {
    "paper": _list_paper_terms(target="label"),
    "paper-zscl": _list_paper_terms(),
    "author-code": _list_author_terms(mended=False),
    "author-code-mended": _list_author_terms(mended=True),
}
"""The paper's L = L_ct + 0.1 L_zs + L_kl, with Eq. 3 as printed and in ZSCL's softer reading; and the loss of the
authors' published code, as it is and with the two terms mended that cannot train.
"""


class WeightedSum(Loss):
    """L, Eq. 5 of the paper: a weighted sum of losses.

        L = sum_k weight_k L_k,   in the paper L = L_ct + alpha L_zs + L_kl with alpha = 0.1

    Attributes:
        terms: the terms.
        losses: the loss of each term by its name; the second one of a name is `NAME 2`.
        needs_raw: whether a loss needs embeddings before their normalisation.
        parameters: the learned numbers of all losses: `NAME.PARAMETER`.
    """

    def __init__(self, terms: Sequence[LossTerm]) -> None:
        """Create the loss of each term.

        Raises:
            UnknownName: a loss is not installed; the message suggests the nearest ones.
            BadOption: no weight is above 0, or a term has an invalid option; the message names the term.
            PluginError: a plugin's loss is not a `Loss`.
        """
        if not any(term.weight > 0 for term in terms):
            raise BadOption("a recipe needs at least one loss with a weight above 0")
        self.terms = tuple(terms)
        self.losses: dict[str, Loss] = {}
        for number, term in enumerate(self.terms, start=1):
            repeats = sum(other.use == term.use for other in self.terms[:number])
            self.losses[term.use if repeats == 1 else f"{term.use} {repeats}"] = _create_loss(term, number)
        self.needs = tuple(dict.fromkeys(name for loss in self.losses.values() for name in loss.needs))
        self.compares_rows = any(loss.compares_rows for loss in self.losses.values())
        self.needs_raw = any(name.startswith("raw_") for name in self.needs)
        self.parameters = {
            f"{name}.{key}": parameter
            for name, loss in self.losses.items()
            for key, parameter in loss.parameters.items()
        }

    @classmethod
    def from_recipe(cls, losses: str | Sequence[Mapping[str, object]]) -> Self:
        """Create the sum from a recipe's `losses`.

        Args:
            losses: the name of a preset (`losses = "paper"`), or tables `[[losses]]` with `use`, `weight` (default 1),
                `space` (default `common`), and the options of the loss.

        Raises:
            UnknownName, BadOption, PluginError: as the constructor; or an unknown preset or key.
        """
        if isinstance(losses, str):
            if losses not in PRESETS:
                raise BadOption(f"losses: unknown preset {losses!r}{errors.suggest_names(losses, PRESETS)}")
            return cls(PRESETS[losses])
        if not isinstance(losses, Sequence):
            raise BadOption(f"losses: expected the name of a preset or tables [[losses]], got {losses!r}")
        return cls([_parse_term(f"[[losses]] {number}", table) for number, table in enumerate(losses, start=1)])

    def move_parameters(self, device: torch.device) -> None:
        """Move the learned numbers to a device, before they are given to an optimiser."""
        for parameter in self.parameters.values():
            parameter.data = parameter.data.to(device)

    def compute_terms(self, batches: Mapping[str, TrainingBatch]) -> dict[str, torch.Tensor]:
        """Compute each unweighted loss by name, on the batch of its term's space."""
        pairs = zip(self.terms, self.losses.items(), strict=True)
        return {name: loss(batches[term.space]) for term, (name, loss) in pairs}

    def sum_terms(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the weighted sum of the losses."""
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
        raise errors.PluginError(
            f"loss {term.use!r} of {part.distribution}: expected a Loss, got {type(loss).__name__}"
        )
    return loss


def _parse_term(where: str, table: Mapping[str, object]) -> LossTerm:
    tables.check_keys(where, table, allowed=table if isinstance(table, Mapping) else (), required=("use",))
    use, weight = table["use"], table.get("weight", 1.0)
    if not isinstance(use, str):
        raise BadOption(f"{where}: use: expected the name of a loss, got {use!r}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not (math.isfinite(weight) and weight >= 0):
        raise BadOption(f"{where} ({use}): weight: expected a number, 0 or more, got {weight!r}")
    space = table.get("space", "common")
    if space not in SPACES:
        raise BadOption(f"{where} ({use}): space: expected {' or '.join(SPACES)}, got {space!r}")
    options = {key: value for key, value in table.items() if key not in ("use", "weight", "space")}
    return LossTerm(use, float(weight), options, str(space))
