"""Retrieval: samples of one modality are asked for by samples of another, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from anybind import Binder, Embeddings, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors, prompts
from anybind_retrieval.metrics import RESAMPLES, chance, intervals, metrics_of
from anybind_retrieval.ranks import TOLERANCE, Ranks, ranks_in, ranks_of
from anybind_retrieval.sides import check_items, sides

RELEVANCES = ("instance", "class")
MOST_RESAMPLES = 100_000


class Retrieval(Task):
    """R@k, mAP@k, MRR and median rank of the right answers, from the samples' modality to another and back.

    What is right is a matter of the option `relevance`:

    * `instance`: only the partner. An item is asked about when it can be had as both modalities: an item whose source
      is a picture, with a sound among its partners, pairs image with sound; and since events are derived from pictures,
      event with sound, and event with image.
    * `class`: everything with the same label; there may be many right answers. The two sides need not be the same
      items: queries are the items that can be had as the one modality, the gallery are those that can be had as the
      other. A data set of pictures and of sounds that share classes lists both as items, each with its label. Where no
      item can be had as text, the class names put into templates are the texts, one a class.

    How ranks count, what the metrics are, and how ties are settled (never in favour) is said in `Ranks` and
    `metrics_of`. The result has the chance levels and 95 % intervals of the metrics.
    """

    name = "retrieval"
    main_metric = "R@1"

    def __init__(
        self,
        *,
        to: str,
        relevance: str = "instance",
        gallery: str = "full",
        templates: Iterable[str] = prompts.DEFAULT_TEMPLATES,
        resamples: int = RESAMPLES,
    ) -> None:
        """Set the question.

        Args:
            to: the modality of the answers (and, on the way back, of the queries).
            relevance: `instance` or `class`.
            gallery: `full`: every query is compared with all answers. `in-batch:K`: besides, the items are shuffled by
                the seed and cut into batches of K, the last incomplete one is dropped, and every query is compared
                with its batch only, as some papers do; such figures are better the smaller K is.
            templates: sentences with `{}` for the class name.
            resamples: of the bootstrap over queries that gives the intervals, at most 100,000.

        Raises:
            BadOption: a value that is none of these.
        """
        if not isinstance(to, str):
            raise BadOption(f"to is the name of a modality, got {to!r}")
        if relevance not in RELEVANCES:
            raise BadOption(f"relevance is {' or '.join(RELEVANCES)}, got {relevance!r}")
        batch = re.fullmatch(r"full|in-batch:([1-9]\d*)", str(gallery))
        if batch is None:
            raise BadOption(f"gallery is full, or in-batch:K with a whole number K, got {gallery!r}")
        if not isinstance(resamples, int) or not 1 <= resamples <= MOST_RESAMPLES:
            raise BadOption(f"resamples must be a whole number from 1 to {MOST_RESAMPLES}, got {resamples!r}")
        self.to, self.relevance, self.gallery, self.resamples = to, relevance, gallery, resamples
        self.batch = None if batch[1] is None else int(batch[1])
        self.templates = prompts.check_templates([templates] if isinstance(templates, str) else templates)

    def modalities(self, modality: str) -> tuple[str, ...]:
        return (modality, self.to)

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed both sides and rank each by the other; see `Task.run`.

        Metrics are named after their direction: `event_to_image_R@1`, `image_to_event_MRR`, and
        `in_batch_event_to_image_R@1` in batches; `R@1` is the mean of both directions on the full gallery. The details
        hold `directions` (numbers of queries and answers, and of the queries left out since nothing is right for them),
        `relevance`, `gallery`, and `left_out`: how many items can be had as neither modality, or as one where both are
        needed.

        Raises:
            BadInput: too few items have what is asked for, or labels are missing.
            BadOption: `to` is the samples' own modality, or a batch has more items than there are.
        """
        if modality == self.to:
            raise BadOption(f"retrieval goes from one modality to another; choose another one than {modality} as to")
        for of in (modality, self.to):
            binder.encoder(of)  # what is missing is told before anything is embedded
        check_items(dataset)
        both = self._embedded(binder, dataset, modality, seed, on_bad)
        metrics, chances, sure, directions = self._answers(both, seed)
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={each.modality: each.encoder for each in (both.one, both.other)},
            seed=seed,
            n=len(both.one),
            gallery_size=len(both.other),
            metrics=metrics,
            intervals=sure,
            chance=chances,
            prompts=self.templates if both.words else (),
            details={
                "directions": directions,
                "relevance": self.relevance,
                "gallery": self.gallery,
                "left_out": both.left_out,
            },
        )

    def _embedded(
        self, binder: Binder, dataset: Dataset, modality: str, seed: int, on_bad: errors.OnBad | None
    ) -> _Both:
        pair, names = (modality, self.to), {name: number for number, name in enumerate(dataset.classes)}
        listed = sides(dataset.items, pair, on_bad)
        if self.relevance == "instance":
            kept = [held for _, held in listed if None not in held]
        else:
            kept = [held for item, held in listed if item.label and held != (None, None)]
        if self.batch is not None:
            check_batch(self.batch, sum(None not in held for held in kept))  # before anything is embedded
        columns = [[each for each in column if each is not None] for column in zip(*kept, strict=True)] or [[], []]
        words = self.relevance == "class" and "text" in pair and not columns[pair.index("text")]
        found: list[Embeddings] = []
        for of, items in zip(pair, columns, strict=True):
            if words and of == "text" and names:
                found.append(prompts.embed_class_names(binder, of, list(names), self.templates))
                continue
            if not items:
                raise BadInput(self._nothing(dataset, pair, of))
            found.append(binder.embed(of, items, derive_seed=seed, on_bad=on_bad))
        if self.relevance == "instance":
            one, other = _paired(*found)
            groups = np.arange(len(one)), np.arange(len(other))
        else:
            one, other = found
            label_of = {item.id: names[item.label] for item in dataset.items if item.label}
            by_id = [names if words and of == "text" else label_of for of in pair]
            groups = tuple(np.array([known[id] for id in each.ids]) for known, each in zip(by_id, found, strict=True))
        if not len(one) or not len(other):
            raise BadInput(f"{dataset.name} holds nothing that can be used as both {modality} and {self.to}")
        return _Both(one, other, *groups, words=words, left_out=len(listed) - len(kept))

    def _nothing(self, dataset: Dataset, pair: tuple[str, str], modality: str) -> str:
        if self.relevance == "instance":
            return f"{dataset.name} has no items with both {pair[0]} and {pair[1]}; relevance=class compares by label"
        return f"{dataset.name} has no items with a label that can be had as {modality}"

    def _answers(
        self, both: _Both, seed: int
    ) -> tuple[dict[str, float], dict[str, float], dict[str, tuple[float, float]], dict[str, dict[str, float]]]:
        """Metrics, chance levels and intervals by metric, and the counts of each direction."""
        metrics: dict[str, float] = {}
        chances: dict[str, float] = {}
        sure: dict[str, tuple[float, float]] = {}
        directions: dict[str, dict[str, float]] = {}
        for name, ranks, lost in self._rankings(both, seed):
            metrics |= {f"{name}_{key}": value for key, value in metrics_of(ranks).items()}
            chances |= {f"{name}_{key}": value for key, value in chance(ranks.right, ranks.gallery).items()}
            sure |= {f"{name}_{key}": value for key, value in intervals(ranks, seed, self.resamples).items()}
            directions[name] = {
                "queries": len(ranks.ranks),
                "gallery": ranks.gallery,
                "right_answers": float(ranks.right.mean()),
                "without_answer": lost,
            }
        forth, back = (f"{a.modality}_to_{b.modality}" for a, b in ((both.one, both.other), (both.other, both.one)))
        for table in (metrics, chances):
            table["R@1"] = (table[f"{forth}_R@1"] + table[f"{back}_R@1"]) / 2
        return {"R@1": metrics.pop("R@1"), **metrics}, chances, sure, directions

    def _rankings(self, both: _Both, seed: int) -> Iterator[tuple[str, Ranks, int]]:
        """Name of each direction, its ranks, and how many queries have no right answer."""
        for each in (both, both.turned()):
            name = f"{each.one.modality}_to_{each.other.modality}"
            asked = np.isin(each.one_groups, each.other_groups)
            if not asked.any():
                raise BadInput(f"no {each.one.modality} has a right answer among the {each.other.modality}")
            vectors = each.one.vectors[asked], each.other.vectors
            yield name, ranks_of(*vectors, each.one_groups[asked], each.other_groups), int((~asked).sum())
        if self.batch is not None:
            for each in (both, both.turned()):
                name = f"in_batch_{each.one.modality}_to_{each.other.modality}"
                yield name, each.in_batches(self.batch, seed), 0


@dataclass(frozen=True)
class _Both:
    """Both sides embedded, and the group of each row: rows of one group are right answers to each other."""

    one: Embeddings
    other: Embeddings
    one_groups: np.ndarray
    other_groups: np.ndarray
    words: bool = False
    left_out: int = 0

    def turned(self) -> _Both:
        return _Both(self.other, self.one, self.other_groups, self.one_groups)

    def in_batches(self, size: int, seed: int) -> Ranks:
        """Ranks within batches of pairs, in an order drawn by the seed."""
        n = len(self.one)
        if self.one.ids != self.other.ids:
            raise BadOption("batches need items that can be had as both modalities; use gallery=full here")
        check_batch(size, n)
        found = []
        order = np.random.default_rng(seed).permutation(n)
        for batch in order[: n - n % size].reshape(-1, size):
            similarities = self.one.vectors[batch] @ self.other.vectors[batch].T
            groups = self.one_groups[batch], self.other_groups[batch]
            found.append(ranks_in(similarities, *groups, tolerance=TOLERANCE))
        return Ranks(
            np.concatenate([each.ranks for each in found]), np.concatenate([each.right for each in found]), size
        )


def check_batch(size: int, pairs: int) -> None:
    """Raise `BadOption` where there are fewer pairs than a batch has."""
    if size > pairs:
        raise BadOption(f"a batch of {size} is more than the {pairs} pairs there are")


def _paired(one: Embeddings, other: Embeddings) -> tuple[Embeddings, Embeddings]:
    """The rows that both have, in the order of the first: one may have lost some that could not be read."""
    place = {id: row for row, id in enumerate(other.ids)}
    rows = [row for row, id in enumerate(one.ids) if id in place]
    return one[rows], other[[place[one.ids[row]] for row in rows]]
