"""Mixed rankings before and after calibration by modality: `python benchmarks/mixed_search.py --data DIR`.

DIR has `caltech101/images`, `esc10` and `animal_sounds`. The gallery has images and simulated event recordings (of
other images) of the classes of Caltech101, sounds of the classes of ESC-10 and of six animals, and one caption
("a drawing of a CLASS") per class; equal labels of different datasets are one class. Queries are class names ("a photo
of a CLASS", without captions in the gallery), and every image, event recording and sound of the gallery.

A ranking is of all modalities together, by cosine similarity (raw) or by calibrated score, as `anybind search --mixed`
has it. Metrics: mean reciprocal rank (MRR) of the first file of the query's class, recall@1 and @10, mean average
precision (mAP), and MRR of the first relevant file of another modality than the query's. The difference of MRR has a
95 % interval of 2,000 paired bootstrap resamples of the queries.

The second table has the best matches of text queries in each modality, by whether they are of the query's class, the
class has no files of this modality, or the query is one of 20 texts without relation to any class; and the fraction of
them that is marked as weak. Prints both tables and writes mixed_search.json and .md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind.dataset import Item
from anybind_retrieval.calibration import BACKGROUND_TEXTS, MAX_QUERIES, Background, estimate_background

RESAMPLES = 2000
PER_CLASS = {"image": 4, "event": 4, "sound": 8}
UNRELATED = (
    "asdf qwer zxcv", "the theory of monetary policy", "lorem ipsum dolor sit amet", "tax return for 2019",
    "quantum chromodynamics", "an essay about Kant", "SQL join syntax", "42", "terms and conditions",
    "the subjunctive mood", "mortgage interest rates", "a constitutional amendment", "regression to the mean",
    "yesterday", "if and only if", "postmodern literature", "parliamentary procedure", "the stock exchange",
    "unit tests", "philosophy of science",
)  # fmt: skip
RANKING_COLUMNS = ("query", "score", "n", "MRR", "R@1", "R@10", "mAP", "other MRR")
WEAK_COLUMNS = ("modality", "best match", "n", "weak")
SAME_CLASS = {"dog bark": "dog"}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--seed", type=int, default=0, help="seed of the selection of files and of the resamples")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="use ten classes of each dataset, and print only")
    options = parser.parse_args()
    binder = anybind.load(options.binding)
    gallery, labels = embed_gallery(binder, options.data, options.seed, 10 if options.quick else None)
    rows = rank_queries(binder, gallery, labels, options.seed)
    weak_rows = measure_weak_matches(binder, gallery, labels)
    ranking_cells = [format_row(row) for row in rows]
    weak_cells = [(row["modality"], row["best_match"], str(row["n"]), f"{row['weak']:.2f}") for row in weak_rows]
    sizes = ", ".join(f"{len(gallery[name])} {name}" for name in gallery)
    print_table(RANKING_COLUMNS, ranking_cells, f"mixed gallery: {sizes}")
    differences = [
        "MRR of {} queries: {:+.3f} ({:+.3f} to {:+.3f})".format(row["query"], row["difference"], *row["interval"])
        for row in rows
        if row["score"] == "calibrated"
    ]
    print("\n".join(differences))
    print_table(WEAK_COLUMNS, weak_cells, "weak matches of text queries")
    if options.quick:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    results = {"binding": options.binding, "seed": options.seed, "rankings": rows, "weak_matches": weak_rows}
    (options.output / "mixed_search.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [f"# Mixed search with {options.binding}, seed {options.seed}: {sizes}", ""]
    lines += [*format_markdown(RANKING_COLUMNS, ranking_cells), "", *(f"* {line}" for line in differences), ""]
    lines += format_markdown(WEAK_COLUMNS, weak_cells)
    (options.output / "mixed_search.md").write_text("\n".join(lines) + "\n")


def embed_gallery(
    binder: anybind.Binder, data: Path, seed: int, max_classes: int | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Embed the gallery; return vectors and labels by modality."""
    random = np.random.default_rng(seed)
    files: dict[str, list[tuple[Path, str]]] = {"image": [], "event": [], "sound": []}
    for folder in list_folders(data / "caltech101" / "images")[:max_classes]:
        paths = shuffle_files(folder, random)
        for modality, part in (("image", paths[: PER_CLASS["image"]]), ("event", paths[PER_CLASS["image"] :])):
            files[modality] += [(path, name_class(folder)) for path in part[: PER_CLASS[modality]]]
    for folder in [*list_folders(data / "esc10")[:max_classes], *list_folders(data / "animal_sounds")]:
        paths = shuffle_files(folder, random)[: PER_CLASS["sound"]]
        files["sound"] += [(path, name_class(folder)) for path in paths]
    vectors, labels = {}, {}
    for modality, listed in files.items():
        items = [Item(str(number), path) for number, (path, _) in enumerate(listed)]
        vectors[modality] = binder.embed(modality, items, derive_seed=seed if modality == "event" else None).vectors
        labels[modality] = np.array([label for _, label in listed])
    classes = sorted({str(label) for column in labels.values() for label in column})
    vectors["text"] = binder.embed("text", [f"a drawing of a {name}" for name in classes]).vectors
    labels["text"] = np.array(classes)
    return vectors, labels


def list_folders(folder: Path) -> list[Path]:
    """Return the class folders, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir())


def shuffle_files(folder: Path, random: np.random.Generator) -> list[Path]:
    """Return the files of a folder in random order."""
    paths = sorted(folder.iterdir())
    return [paths[number] for number in random.permutation(len(paths))]


def name_class(folder: Path) -> str:
    """Return the class of a folder: `001 - Dog bark` is dog."""
    name = folder.name.split(" - ")[-1].lower().replace("_", " ")
    return SAME_CLASS.get(name, name)


def estimate_backgrounds(
    gallery: Mapping[str, np.ndarray], queries: np.ndarray, query: np.ndarray, modality: str
) -> dict[str, Background]:
    """Estimate the background of each modality of the gallery, as a search does."""
    backgrounds = {}
    for name, files in gallery.items():
        same_modality = name == modality != "text"
        background = estimate_background(files, queries, query, len(files), same_modality=same_modality)
        assert background is not None
        backgrounds[name] = background
    return backgrounds


def rank_queries(
    binder: anybind.Binder, gallery: dict[str, np.ndarray], labels: dict[str, np.ndarray], seed: int
) -> list[dict[str, Any]]:
    """Rank the gallery for the queries of each modality, raw and calibrated; return a row of metrics each."""
    classes = labels["text"]
    texts = binder.embed("text", [f"a photo of a {name}" for name in classes]).vectors
    background_texts = binder.embed("text", BACKGROUND_TEXTS).vectors
    rows = []
    for modality in gallery:
        queries, query_labels = (texts, classes) if modality == "text" else (gallery[modality], labels[modality])
        names = [name for name in gallery if not (name == modality == "text")]
        vectors = {name: gallery[name] for name in names}
        file_labels = np.concatenate([labels[name] for name in names])
        file_modalities = np.repeat(names, [len(vectors[name]) for name in names])
        first = 0 if modality == "text" else int(np.argmax(file_modalities == modality))
        every = np.linspace(0, len(queries) - 1, min(MAX_QUERIES, len(queries))).astype(int)
        background_queries = background_texts if modality == "text" else queries[every]
        values: dict[str, list[tuple[float, ...]]] = {"raw": [], "calibrated": []}
        for number, (query, label) in enumerate(zip(queries, query_labels, strict=True)):
            cosines = {name: files.astype(np.float64) @ query for name, files in vectors.items()}
            backgrounds = estimate_backgrounds(vectors, background_queries, query, modality)
            calibrated = {name: column - backgrounds[name].center for name, column in cosines.items()}
            for score, columns in (("raw", cosines), ("calibrated", calibrated)):
                scores, relevant = np.concatenate(list(columns.values())), file_labels == label
                if modality != "text":  # the query itself
                    scores[first + number], relevant[first + number] = -np.inf, False
                order = np.argsort(-scores, kind="stable")
                values[score].append(measure_ranking(relevant[order], file_modalities[order] != modality))
        tables = {score: np.array(column) for score, column in values.items()}
        for score, table in tables.items():
            means = dict(zip(RANKING_COLUMNS[3:], np.nanmean(table, axis=0).tolist(), strict=True))
            rows.append({"query": modality, "score": score, "n": len(table), **means})
        difference = tables["calibrated"][:, 0] - tables["raw"][:, 0]
        draws = np.random.default_rng(seed).integers(len(difference), size=(RESAMPLES, len(difference)))
        low, high = np.percentile(difference[draws].mean(axis=1), (2.5, 97.5))
        rows[-1] |= {"difference": float(difference.mean()), "interval": (float(low), float(high))}
    return rows


def measure_ranking(relevant: np.ndarray, is_other: np.ndarray) -> tuple[float, ...]:
    """Return MRR, R@1, R@10, mAP, and MRR of other modalities (NaN without relevant files) of one ranking."""
    ranks = np.flatnonzero(relevant) + 1
    others = np.flatnonzero(relevant & is_other) + 1
    precision = float((np.arange(1, len(ranks) + 1) / ranks).mean())
    return 1 / ranks[0], ranks[0] <= 1, ranks[0] <= 10, precision, 1 / others[0] if len(others) else np.nan


def measure_weak_matches(
    binder: anybind.Binder, gallery: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Return the fraction of weak matches among the best matches of text queries in each modality."""
    classes = labels["text"].tolist()
    texts = [f"a photo of a {name}" for name in classes] + list(UNRELATED)
    queries = binder.embed("text", texts).vectors
    files = {name: gallery[name] for name in ("image", "event", "sound")}
    backgrounds = estimate_backgrounds(files, binder.embed("text", BACKGROUND_TEXTS).vectors, queries[0], "text")
    rows = []
    for modality in files:
        marks: dict[str, list[bool]] = {"same class": [], "no such class": [], "unrelated text": []}
        for number, query in enumerate(queries):
            cosines = gallery[modality].astype(np.float64) @ query
            best = int(np.argmax(cosines))
            weak = backgrounds[modality].is_weak(float(cosines[best]))
            if number >= len(classes):
                marks["unrelated text"].append(weak)
            elif labels[modality][best] == classes[number]:
                marks["same class"].append(weak)
            elif classes[number] not in labels[modality]:
                marks["no such class"].append(weak)
        rows += [
            {"modality": modality, "best_match": name, "n": len(values), "weak": float(np.mean(values))}
            for name, values in marks.items()
            if values
        ]
    return rows


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table of rankings."""
    return (row["query"], row["score"], str(row["n"]), *(f"{row[name]:.3f}" for name in RANKING_COLUMNS[3:]))


def format_markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return a table in Markdown."""
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]


if __name__ == "__main__":
    main()
