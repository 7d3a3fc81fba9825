"""The task `retrieval`: cross-modal retrieval between two modalities, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from anybind import Binder, Embeddings, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors, prompts
from anybind_retrieval.metrics import RESAMPLES, bootstrap_intervals, compute_chance, compute_metrics
from anybind_retrieval.pairing import check_items, resolve_items
from anybind_retrieval.ranks import TOLERANCE, Ranks, rank_embeddings, rank_similarities

RELEVANCES = ("instance", "class")
MAX_RESAMPLES = 100_000


class Retrieval(Task):
    """Retrieval from the samples' modality to another and back: R@k, mAP@k, MRR and median rank.

    The option `relevance` defines the ground truth:

    * `instance`: only the partner is relevant. Items that are available in both modalities are used: an item with an
      image as its source and a sound among its partners pairs image with sound and, since events are derived from
      images, event with sound and event with image.
    * `class`: all samples of the same label are relevant. Queries and gallery need not be the same items: queries are
      the items available in the one modality, the gallery those available in the other. A dataset of images and of
      sounds with common classes lists both as items, each with its label. If no item is available as text, class names
      in prompt templates are the texts, one per class.

    With `joined`, queries are samples together with those of other modalities: an event recording and a text, for
    instance, which find an image and are found by it.

    `Ranks` and `compute_metrics` define ranks, ties (never in favour) and metrics. The result has the chance levels and
    95 % confidence intervals of the metrics.
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
        joined: Iterable[str] = (),
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Set the options.

        Args:
            to: modality of the gallery (and, in the other direction, of the queries).
            relevance: `instance` or `class`.
            gallery: `full`: each query is compared with the whole gallery. `in-batch:K`: in addition, items are
                shuffled with the seed and split into batches of K (an incomplete last batch is dropped), and each query
                is compared with its batch only, as in some papers; these metrics are higher the smaller K is.
            templates: prompt templates with `{}` for the class name.
            resamples: bootstrap resamples of the queries for confidence intervals, at most 100,000.
            joined: modalities whose embeddings are added to those of the samples' modality, see `Binder.embed`; with
                `instance` relevance, of items that are available in all.
            weights: weight of a modality in these sums. [default: 1]

        Raises:
            BadOption: an invalid value.
        """
        if not isinstance(to, str):
            raise BadOption(f"to: expected the name of a modality, got {to!r}")
        if relevance not in RELEVANCES:
            raise BadOption(f"relevance: expected {' or '.join(RELEVANCES)}, got {relevance!r}")
        batch = re.fullmatch(r"full|in-batch:([1-9]\d*)", str(gallery))
        if batch is None:
            raise BadOption(f"gallery: expected full, or in-batch:K with an integer K, got {gallery!r}")
        if not isinstance(resamples, int) or not 1 <= resamples <= MAX_RESAMPLES:
            raise BadOption(f"resamples: expected an integer from 1 to {MAX_RESAMPLES}, got {resamples!r}")
        self.joined = (joined,) if isinstance(joined, str) else tuple(joined)
        if self.joined and relevance != "instance":
            raise BadOption(f"joined: needs relevance=instance, got {relevance!r}")
        if weights and not self.joined:
            raise BadOption("weights: needs joined modalities")
        self.weights = weights
        self.to, self.relevance, self.gallery, self.resamples = to, relevance, gallery, resamples
        self.batch_size = None if batch[1] is None else int(batch[1])
        self.templates = prompts.check_templates([templates] if isinstance(templates, str) else templates)

    def modalities(self, modality: str) -> tuple[str, ...]:
        return (modality, self.to, *self.joined)

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed both modalities and rank each by the other; see `Task.run`.

        Metrics are named by direction: `event_to_image_R@1`, `image_to_event_MRR`, and
        `in_batch_event_to_image_R@1` in batches; `R@1` is the mean of both directions on the full gallery. The details
        hold `directions` (numbers of queries and gallery samples, mean number of relevant samples per query, and number
        of queries dropped without a relevant one), `relevance`, `gallery`, and `unused_items`: the number of items that
        are available in neither modality, or in one where both are needed.

        Raises:
            BadInput: too few items are available in both modalities, or labels are missing.
            BadOption: `to` is the samples' own modality, or a batch has more items than there are.
        """
        if modality == self.to:
            raise BadOption(f"to: expected another modality than the samples' own, got {modality!r}")
        if repeated := {modality, self.to} & set(self.joined):
            raise BadOption(f"joined: expected other modalities than {modality} and {self.to}, got {min(repeated)}")
        for name in self.modalities(modality):
            binder.encoder(name)  # raises for a missing encoder before anything is embedded
        check_items(dataset)
        pair = self._embed_pair(binder, dataset, modality, seed, on_bad)
        metrics, chances, intervals, directions = self._compute_metrics(pair, seed)
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={embeddings.modality: embeddings.encoder for embeddings in (pair.queries, pair.gallery)},
            seed=seed,
            n=len(pair.queries),
            gallery_size=len(pair.gallery),
            metrics=metrics,
            intervals=intervals,
            chance=chances,
            prompts=self.templates if pair.class_prompts else (),
            details={
                "directions": directions,
                "relevance": self.relevance,
                "gallery": self.gallery,
                "unused_items": pair.unused_items,
            },
        )

    def _embed_pair(
        self, binder: Binder, dataset: Dataset, modality: str, seed: int, on_bad: errors.OnBad | None
    ) -> _EmbeddedPair:
        modalities = self.modalities(modality)
        class_ids = {name: number for number, name in enumerate(dataset.classes)}
        resolved = resolve_items(dataset.items, modalities, on_bad)
        if self.relevance == "instance":
            used = [versions for _, versions in resolved if None not in versions]
        else:
            used = [versions for item, versions in resolved if item.label and versions != (None, None)]
        if self.batch_size is not None:
            check_batch_size(self.batch_size, sum(None not in versions for versions in used))  # before embedding
        columns = [[item for item in column if item is not None] for column in zip(*used, strict=True)] or [
            [] for _ in modalities
        ]
        class_prompts = self.relevance == "class" and "text" in modalities and not columns[modalities.index("text")]
        embedded: list[Embeddings] = []
        for name, items in zip(modalities, columns, strict=True):
            if class_prompts and name == "text" and class_ids:
                embedded.append(prompts.embed_class_names(binder, name, list(class_ids), self.templates))
            elif items:
                embedded.append(binder.embed(name, items, derive_seed=seed, on_bad=on_bad))
            elif self.relevance == "instance":
                needed = f"{'all of' if self.joined else 'both'} {' and '.join(modalities)}"
                raise BadInput(f"{dataset.name} has no items with {needed}; relevance=class compares by label")
            else:
                raise BadInput(f"{dataset.name} has no items with a label that are available as {name}")
        if self.relevance == "instance":
            queries, gallery, *joined = _align_rows(*embedded)
            if joined:
                queries = replace(Embeddings.fuse([queries, *joined], self.weights), ids=queries.ids)
            groups = np.arange(len(queries)), np.arange(len(gallery))
        else:
            queries, gallery = embedded
            group_of = {item.id: class_ids[item.label] for item in dataset.items if item.label}
            tables = [class_ids if class_prompts and name == "text" else group_of for name in modalities]
            groups = tuple(
                np.array([table[id] for id in rows.ids]) for table, rows in zip(tables, embedded, strict=True)
            )
        if not len(queries) or not len(gallery):
            raise BadInput(f"{dataset.name} has no samples that are valid as both {modality} and {self.to}")
        return _EmbeddedPair(
            queries, gallery, *groups, class_prompts=class_prompts, unused_items=len(resolved) - len(used)
        )

    def _compute_metrics(
        self, pair: _EmbeddedPair, seed: int
    ) -> tuple[dict[str, float], dict[str, float], dict[str, tuple[float, float]], dict[str, dict[str, float]]]:
        """Return metrics, chance levels and intervals by metric, and the counts of each direction."""
        metrics: dict[str, float] = {}
        chances: dict[str, float] = {}
        intervals: dict[str, tuple[float, float]] = {}
        directions: dict[str, dict[str, float]] = {}
        for name, ranks, n_dropped in self._rank_directions(pair, seed):
            chance = compute_chance(ranks.n_relevant, ranks.gallery_size)
            metrics |= {f"{name}_{key}": value for key, value in compute_metrics(ranks).items()}
            chances |= {f"{name}_{key}": value for key, value in chance.items()}
            bounds = bootstrap_intervals(ranks, seed, self.resamples)
            intervals |= {f"{name}_{key}": value for key, value in bounds.items()}
            directions[name] = {
                "queries": len(ranks.ranks),
                "gallery": ranks.gallery_size,
                "relevant_per_query": float(ranks.n_relevant.mean()),
                "queries_without_relevant": n_dropped,
            }
        names = [f"{a.queries.modality}_to_{a.gallery.modality}_R@1" for a in (pair, pair.swap())]
        for table in (metrics, chances):
            table["R@1"] = sum(table[name] for name in names) / 2
        return {"R@1": metrics.pop("R@1"), **metrics}, chances, intervals, directions

    def _rank_directions(self, pair: _EmbeddedPair, seed: int) -> Iterator[tuple[str, Ranks, int]]:
        """Yield the name of each direction, its ranks, and the number of queries dropped without a relevant sample."""
        for direction in (pair, pair.swap()):
            queries, gallery = direction.queries, direction.gallery
            used = np.isin(direction.query_groups, direction.gallery_groups)
            if not used.any():
                raise BadInput(f"no {queries.modality} has a relevant sample among the {gallery.modality} samples")
            groups = direction.query_groups[used], direction.gallery_groups
            ranks = rank_embeddings(queries.vectors[used], gallery.vectors, *groups)
            yield f"{queries.modality}_to_{gallery.modality}", ranks, int((~used).sum())
        if self.batch_size is not None:
            for direction in (pair, pair.swap()):
                name = f"in_batch_{direction.queries.modality}_to_{direction.gallery.modality}"
                yield name, direction.rank_in_batches(self.batch_size, seed), 0


@dataclass(frozen=True)
class _EmbeddedPair:
    """Embeddings of two modalities, and the group of each row: rows of one group are relevant to each other."""

    queries: Embeddings
    gallery: Embeddings
    query_groups: np.ndarray
    gallery_groups: np.ndarray
    class_prompts: bool = False
    unused_items: int = 0

    def swap(self) -> _EmbeddedPair:
        """Return the pair in the other direction."""
        return _EmbeddedPair(self.gallery, self.queries, self.gallery_groups, self.query_groups)

    def rank_in_batches(self, batch_size: int, seed: int) -> Ranks:
        """Rank within batches of pairs, shuffled with the seed."""
        n = len(self.queries)
        if self.queries.ids != self.gallery.ids:
            raise BadOption("batches need items that are available in both modalities; use gallery=full here")
        check_batch_size(batch_size, n)
        results = []
        order = np.random.default_rng(seed).permutation(n)
        for batch in order[: n - n % batch_size].reshape(-1, batch_size):
            similarities = self.queries.vectors[batch] @ self.gallery.vectors[batch].T
            groups = self.query_groups[batch], self.gallery_groups[batch]
            results.append(rank_similarities(similarities, *groups, tolerance=TOLERANCE))
        ranks = np.concatenate([each.ranks for each in results])
        return Ranks(ranks, np.concatenate([each.n_relevant for each in results]), batch_size)


def check_batch_size(batch_size: int, n_pairs: int) -> None:
    """Raise `BadOption` if there are fewer pairs than a batch has."""
    if batch_size > n_pairs:
        raise BadOption(f"gallery: a batch of {batch_size} is more than the {n_pairs} pairs of the dataset")


def _align_rows(first: Embeddings, *others: Embeddings) -> list[Embeddings]:
    """Return the rows with ids that all have, in the order of the first; each may lack skipped samples."""
    positions = [{id: row for row, id in enumerate(other.ids)} for other in others]
    rows = [row for row, id in enumerate(first.ids) if all(id in each for each in positions)]
    aligned = [other[[each[first.ids[row]] for row in rows]] for other, each in zip(others, positions, strict=True)]
    return [first[rows], *aligned]
