"""The task `mixed-retrieval`: the best match of each query in a gallery of several modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anybind import Binder, Embeddings, Result
from anybind.plugin import BadInput, BadOption, Dataset, Item, Task, errors, prompts
from anybind_retrieval.calibration import BACKGROUND_TEXTS, MAX_FILES, MAX_QUERIES, estimate_background
from anybind_retrieval.metrics import RESAMPLES
from anybind_retrieval.pairing import check_items, resolve_items
from anybind_retrieval.ranks import TOLERANCE

TEXT = "text"
SCORES = ("raw", "calibrated")


class MixedRetrieval(Task):
    """The sample and modality of highest similarity in a mixed gallery, raw and calibrated by modality.

    Queries are the samples in their modality. The gallery has all samples in the modalities of the option `gallery`,
    the query's own version excluded. Class names in prompt templates are the texts if no sample is available as text.
    A match is right if it has the query's label, or is of the query's own item if samples have no labels. Calibrated
    scores are those of a mixed ranking of `anybind search`: cosine similarity minus the median of the background of
    its modality; see `anybind_retrieval.calibration`. Ties are never in favour: a wrong match of equal score counts.

    It corresponds to Figure 3 of the paper, which shows a query's matches of highest similarity over modalities.
    """

    name = "mixed-retrieval"
    main_metric = "calibrated_R@1"

    def __init__(
        self,
        *,
        gallery: Sequence[str] | str,
        templates: Iterable[str] = prompts.DEFAULT_TEMPLATES,
        resamples: int = RESAMPLES,
    ) -> None:
        """Set the options.

        Args:
            gallery: two modalities or more, the queries' own among them or not.
            templates: prompt templates with `{}` for the class name.
            resamples: bootstrap resamples of the queries for confidence intervals.

        Raises:
            BadOption: an invalid value.
        """
        names = gallery.split(",") if isinstance(gallery, str) else list(gallery)
        self.gallery = tuple(name.strip() for name in names)
        if len(self.gallery) < 2 or len(set(self.gallery)) < len(self.gallery):
            raise BadOption(f"gallery: expected two different modalities or more, got {', '.join(self.gallery)}")
        if not isinstance(resamples, int) or resamples < 1:
            raise BadOption(f"resamples: expected an integer of at least 1, got {resamples!r}")
        self.resamples = resamples
        self.templates = prompts.check_templates([templates] if isinstance(templates, str) else templates)

    def modalities(self, modality: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((modality, *self.gallery)))

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed the samples in all modalities and find the best match of each query; see `Task.run`.

        Metrics, as `raw_...` and `calibrated_...`, are `R@1`, the fraction of queries whose best match is right, and
        `share_M`, the fraction whose best match has the modality M. `R@1_M` is the fraction whose best match within M
        is right, of the queries with a right match in M; calibration does not change it. The chance level of `R@1` is
        the mean fraction of right matches in the gallery, that of `share_M` the fraction of M in the gallery.

        Raises:
            BadInput: no samples of a modality, or no query with a right match.
        """
        for name in self.modalities(modality):
            binder.encoder(name)  # raises for a missing encoder before anything is embedded
        check_items(dataset)
        embedded, class_prompts = self._embed(binder, dataset, modality, seed, on_bad)
        keys = _list_keys(dataset, embedded, class_prompts)
        queries = embedded[modality]
        background = binder.embed(TEXT, list(BACKGROUND_TEXTS)).vectors if modality == TEXT else _thin(queries.vectors)
        files = {name: embedded[name] for name in self.gallery}
        matches = [_find_matches(number, queries, keys, files, background) for number in range(len(queries))]
        has_right = np.array([match.chance > 0 for match in matches])
        if not has_right.any():
            raise BadInput(f"{dataset.name}: no {modality} query has a right match in the gallery")
        used = [match for match, is_known in zip(matches, has_right, strict=True) if is_known]
        metrics, intervals = self._compute_metrics(used, files, seed)
        sizes = {name: len(rows) for name, rows in files.items()}
        total = sum(sizes.values())
        chance = {f"{score}_R@1": float(np.mean([match.chance for match in used])) for score in SCORES}
        chance |= {f"{score}_share_{name}": size / total for score in SCORES for name, size in sizes.items()}
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={name: rows.encoder for name, rows in embedded.items()},
            seed=seed,
            n=len(used),
            gallery_size=total,
            metrics=metrics,
            intervals=intervals,
            chance=chance,
            prompts=self.templates if class_prompts else (),
            details={
                "gallery": sizes,
                "uncalibrated": sorted({name for match in used for name in match.uncalibrated}),
                "queries_without_right_match": int((~has_right).sum()),
            },
        )

    def _embed(
        self, binder: Binder, dataset: Dataset, modality: str, seed: int, on_bad: errors.OnBad | None
    ) -> tuple[dict[str, Embeddings], bool]:
        """Return the embeddings by modality, and whether texts are class names in prompts."""
        names = self.modalities(modality)
        resolved = resolve_items(dataset.items, names, on_bad)
        embedded: dict[str, Embeddings] = {}
        class_prompts = False
        for number, name in enumerate(names):
            items: list[Item] = [version for _, versions in resolved if (version := versions[number]) is not None]
            if items:
                embedded[name] = binder.embed(name, items, derive_seed=seed, on_bad=on_bad)
            elif name == TEXT and dataset.classes:
                class_prompts = True
                embedded[name] = prompts.embed_class_names(binder, name, list(dataset.classes), self.templates)
            if not len(embedded.get(name, ())):
                raise BadInput(f"{dataset.name} has no valid samples that are available as {name}")
        return embedded, class_prompts

    def _compute_metrics(
        self, matches: Sequence[_Match], files: Mapping[str, Embeddings], seed: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        columns: dict[str, np.ndarray] = {}
        for score in SCORES:
            columns[f"{score}_R@1"] = np.array([match.right[score] for match in matches], float)
            for name in files:
                columns[f"{score}_share_{name}"] = np.array([match.modality[score] == name for match in matches], float)
        for name in files:
            columns[f"R@1_{name}"] = np.array([match.within.get(name, np.nan) for match in matches], float)
        draws = np.random.default_rng(seed).integers(len(matches), size=(self.resamples, len(matches)))
        metrics, intervals = {}, {}
        for name, column in columns.items():
            if np.isnan(column).all():
                continue
            metrics[name] = float(np.nanmean(column))
            means = np.array([np.nanmean(drawn) for draw in draws if not np.isnan(drawn := column[draw]).all()])
            low, high = np.percentile(means, (2.5, 97.5)).tolist()
            intervals[name] = (low, high)
        return metrics, intervals


@dataclass(frozen=True)
class _Match:
    """The best matches of a query.

    Attributes:
        modality, right: of the best match in the gallery, by score (`raw`, `calibrated`).
        within: by modality with right matches, whether the best match within it is right.
        chance: fraction of right matches in the gallery.
        uncalibrated: modalities with too few files for a background, whose score is the cosine similarity.
    """

    modality: Mapping[str, str]
    right: Mapping[str, bool]
    within: Mapping[str, bool]
    chance: float
    uncalibrated: tuple[str, ...]


def _find_matches(
    number: int,
    queries: Embeddings,
    keys: Mapping[str, np.ndarray],
    files: Mapping[str, Embeddings],
    background: np.ndarray,
) -> _Match:
    """Find the best matches of one query."""
    query, key = queries.vectors[number], keys[queries.modality][number]
    names, scores, right, within, uncalibrated = [], {score: [] for score in SCORES}, [], {}, []
    for name, rows in files.items():
        cosines = rows.vectors.astype(np.float64) @ query.astype(np.float64)
        same = name == queries.modality
        estimate = estimate_background(
            _thin(rows.vectors, MAX_FILES), background, query, len(rows), same_modality=same and name != TEXT
        )
        uncalibrated += [] if estimate else [name]
        others = np.arange(len(rows)) != number if same else np.ones(len(rows), bool)
        is_right = keys[name][others] == key
        names += [name] * int(others.sum())
        scores["raw"].append(cosines[others])
        scores["calibrated"].append(cosines[others] - (estimate.center if estimate else 0.0))
        right.append(is_right)
        if is_right.any():
            within[name] = _is_best_right(cosines[others], is_right)
    all_right = np.concatenate(right)
    best, hits = {}, {}
    for score, parts in scores.items():
        column = np.concatenate(parts)
        hits[score] = bool(all_right.any()) and _is_best_right(column, all_right)
        top = np.flatnonzero(column >= column.max() - TOLERANCE)
        best[score] = names[next((row for row in top.tolist() if not all_right[row]), int(top[0]))]
    return _Match(best, hits, within, float(all_right.mean()), tuple(uncalibrated))


def _is_best_right(scores: np.ndarray, right: np.ndarray) -> bool:
    """Return whether the best right match is above every wrong one, by more than rounding errors."""
    return bool(scores[right].max() > scores[~right].max(initial=-np.inf) + TOLERANCE)


def _thin(vectors: np.ndarray, count: int = MAX_QUERIES) -> np.ndarray:
    """Return at most `count` rows, evenly spaced."""
    return vectors[np.linspace(0, len(vectors) - 1, min(count, len(vectors))).astype(int)]


def _list_keys(dataset: Dataset, embedded: Mapping[str, Embeddings], class_prompts: bool) -> dict[str, np.ndarray]:
    """Return what right matches share by row of each modality: the label, or the item's id if there are no labels."""
    labels = {item.id: item.label for item in dataset.items}
    if not any(labels.values()):
        return {name: np.array(rows.ids) for name, rows in embedded.items()}
    classes = np.array(list(dataset.classes))
    return {
        name: classes if class_prompts and name == TEXT else np.array([labels[id] for id in rows.ids])
        for name, rows in embedded.items()
    }
