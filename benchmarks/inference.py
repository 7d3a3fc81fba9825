"""Measure the encoders of mini on ONNX Runtime and OpenVINO beside torch: speed, accuracy, size.

    python benchmarks/inference.py --data DIR [--output FILE]                               (make bench-inference)

Each encoder is exported by `anybind_export` at each precision, int8 calibrated on 64 samples, and measured on 200:
images of Caltech101 (70 classes), prompts of its class names, recordings simulated from the images, ESC-10 (folds 1 to
3), and crops of the depth maps of `rgbd`. Zero-shot accuracy is top-1 among the 85 class names, or the 10 of ESC-10;
that of the text encoder is of the images, embedded in torch. Speed is CPU time of the network, from preprocessed
inputs to embeddings: medians of runs that alternate with torch in one process, one thread. CLIP
ViT-B/32 has random weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from depth_retrieval import load_scenes
from safetensors.torch import save_file

import anybind
from anybind import Binder
from anybind.commandline import print_table
from anybind.plugin import Encoder, files, modalities, prompts
from anybind_export import gate
from anybind_export.exporter import Exporter
from anybind_export.processor import describe_processor
from anybind_export.samples import ExportSamples

RESULTS = Path(__file__).parent / "results" / "inference.json"
N_SAMPLES, N_CALIBRATION = 200, 64
ROUNDS = {1: 21, 32: 5}
"""Timed rounds by batch size."""
BACKENDS, PRECISIONS = ("onnx", "openvino"), ("fp32", "fp16", "int8")
MODALITIES, CLIP = ("image", "text", "sound", "event", "depth"), "CLIP ViT-B/32"
CROP = 320


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101, esc10 and rgbd")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", nargs="*", choices=(*MODALITIES, CLIP), help="measure these encoders again")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = tuple(arguments.only or (*MODALITIES, CLIP))
    rows: list[dict[str, Any]] = json.loads(arguments.output.read_text())["rows"] if arguments.only else []
    rows = [row for row in rows if (row["modality"] if row["model"] == "mini" else CLIP) not in measured]
    with tempfile.TemporaryDirectory() as scratch:
        source = anybind.load("mini", backend="torch")
        calibration, samples, labels = load_samples(arguments.data)
        for modality in (each for each in MODALITIES if each in measured):
            collected = ExportSamples({**samples, modality: calibration[modality]}, frozenset())
            own = measure(source, modality, collected, samples[modality], Path(scratch), BACKENDS, PRECISIONS)
            add_accuracy(own, source, modality, samples, labels)
            rows += report(own, modality, "mini")
            write(arguments.output, rows)
        if CLIP not in measured:
            return
        clip = anybind.load(write_clip(Path(scratch) / "clip"), backend="torch")
        collected = ExportSamples({"image": calibration["image"]}, frozenset())
        folder = Path(scratch) / "vit"
        folder.mkdir()
        own = measure(clip, "image", collected, samples["image"], folder, BACKENDS, ("fp32", "int8"))
        write(arguments.output, rows + report(own, "image", CLIP))


def write(output: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the results so far."""
    record = {"processor": describe_processor(), "threads": 1, "n": N_SAMPLES, "rows": rows}
    with files.atomic_path(output) as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


def load_samples(folder: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]], dict[str, list[int]]]:
    """Load samples for calibration and for measurement by modality, and the labels of the latter."""
    splits = json.loads((folder / "caltech101" / "splits.json").read_text())
    seen, names = sorted(splits["seen"]), sorted([*splits["seen"], *splits["unseen"]])
    paths = [(name, sorted((folder / "caltech101" / "images" / name).glob("*.jpg"))) for name in seen]
    first = [anybind.read(each[0]) for _, each in paths][:N_CALIBRATION]
    chosen = [(names.index(name), path) for rank in (1, 2, 3) for name, each in paths for path in each[rank : rank + 1]]
    chosen = chosen[:N_SAMPLES]
    images = [anybind.read(path) for _, path in chosen]
    clips = [path for path in sorted((folder / "esc10").rglob("*.ogg")) if path.name[0] in "123"]
    np.random.default_rng(0).shuffle(clips)  # pyright: ignore[reportArgumentType]
    classes = sorted({path.parent.name for path in clips})
    texts = [template.format(name.replace("_", " ")) for template in TEMPLATES for name in names]
    depths = crop_depths(folder / "rgbd", N_SAMPLES + N_CALIBRATION)
    calibration = {
        "image": first,
        "text": texts[N_SAMPLES:],
        "event": [anybind.derive("event", image, seed=seed) for seed, image in enumerate(first)],
        "sound": [anybind.read(path) for path in clips[-N_CALIBRATION:]],
        "depth": depths[N_SAMPLES:],
    }
    samples = {
        "image": images,
        "text": texts[:N_SAMPLES],
        "event": [anybind.derive("event", image, seed=seed) for seed, image in enumerate(images)],
        "sound": [anybind.read(path) for path in clips[:N_SAMPLES]],
        "depth": depths[:N_SAMPLES],
    }
    labels = {
        "image": [label for label, _ in chosen],
        "sound": [classes.index(path.parent.name) for path in clips[:N_SAMPLES]],
    }
    NAMES.update(image=[name.replace("_", " ") for name in names], sound=[name.replace("_", " ") for name in classes])
    return calibration, samples, labels


TEMPLATES = ("a photo of a {}", "a {}", "a drawing of a {}", "the sound of a {}")
NAMES: dict[str, list[str]] = {}
"""Class names by modality."""


def crop_depths(folder: Path, number: int) -> list[Any]:
    """Cut random crops of the depth maps."""
    scenes, random, crops = load_scenes(folder), np.random.default_rng(0), []
    while len(crops) < number:
        _, _, metres, fx = scenes[int(random.integers(len(scenes)))]
        top, left = (int(random.integers(0, max(1, size - CROP))) for size in metres.shape)
        crop = np.ascontiguousarray(metres[top : top + CROP, left : left + CROP], np.float32)
        if (crop > 0).mean() > 0.3:
            crops.append(modalities.make_sample("depth", crop, fx=fx))
    return crops


def measure(
    source: Binder,
    modality: str,
    collected: ExportSamples,
    samples: Sequence[object],
    scratch: Path,
    backends: Sequence[Any],
    precisions: Sequence[Any],
) -> list[dict[str, Any]]:
    """Export an encoder to each backend and precision, and measure all in alternation."""
    encoder = source.encoder(modality)
    rows: list[dict[str, Any]] = [{"backend": "torch", "precision": "fp32", "recipe": "", "encoder": encoder}]
    rows[0]["mb"] = sum(each.numel() * each.element_size() for each in encoder.module.state_dict().values()) / 1e6  # pyright: ignore[reportAttributeAccessIssue]
    for backend in backends:
        for precision in precisions:
            folder = scratch / f"{backend}-{precision}"
            folder.mkdir(exist_ok=True)
            written = Exporter(source, folder, scratch, collected, backend, precision, False).write(modality)
            size = sum(path.stat().st_size for path in (folder / modality).glob("model*"))
            row = {"backend": backend, "precision": precision, "recipe": written.recipe, "encoder": written.exported}
            rows.append({**row, "mb": size / 1e6, "passed": not written.gate.missed})
    for row in rows:
        row["vectors"] = gate.encode_samples(row["encoder"], samples)
        compared = gate.compare(rows[0]["vectors"], row["vectors"], "fp32", False)
        row |= {name: getattr(compared, name) for name in ("max_difference", "min_cosine", "mean_cosine")}
    for size, rounds in ROUNDS.items():
        times = time_encoders([row["encoder"] for row in rows], samples[:size], rounds)
        for row, own in zip(rows, times, strict=True):
            row[f"ms_{size}"] = round(1e3 * statistics.median(own), 3)
            row[f"speed_{size}"] = round(
                statistics.median(each / mine for each, mine in zip(times[0], own, strict=True)), 2
            )
    return rows


def time_encoders(encoders: Sequence[Encoder], samples: Sequence[object], rounds: int) -> list[list[float]]:
    """Return the CPU seconds of each round by encoder, after one round that is not counted."""
    inputs = [gate.preprocess_samples(encoder, samples) for encoder in encoders]
    times: list[list[float]] = [[] for _ in encoders]
    for number in range(rounds + 1):
        for encoder, prepared, own in zip(encoders, inputs, times, strict=True):
            start = time.process_time()
            encoder.encode(prepared)
            if number:
                own.append(time.process_time() - start)
    return times


def add_accuracy(
    rows: Sequence[dict[str, Any]],
    source: Binder,
    modality: str,
    samples: Mapping[str, Sequence[object]],
    labels: Mapping[str, Sequence[int]],
) -> None:
    """Add the zero-shot accuracy of each row; depth maps have no classes."""
    queries = "image" if modality in ("text", "event") else modality
    if queries not in labels:
        return
    truth, route = np.asarray(labels[queries]), source.route(queries)
    text = source.encoder("text")
    images = gate.encode_samples(source.encoder("image"), samples["image"], route) if modality == "text" else None
    for row in rows:
        names = embed_names(row["encoder"] if modality == "text" else text, NAMES[queries])
        vectors = images if images is not None else gate.adapt(row["vectors"], route)
        row["accuracy"] = float(((vectors @ names.T).argmax(1) == truth).mean())


def embed_names(encoder: Encoder, names: Sequence[str]) -> np.ndarray:
    """Embed class names by the prompts of the text encoder, (names, d)."""
    templates = encoder.prompt_templates
    texts = [[prompt for template in templates for prompt in prompts.format_prompts(template, name)] for name in names]
    vectors = [gate.encode_samples(encoder, each).mean(0) for each in texts]
    return anybind.normalize(np.stack(vectors))


def report(rows: Sequence[dict[str, Any]], modality: str, model: str) -> list[dict[str, Any]]:
    """Print the rows of an encoder, and return what is written of them."""
    records = [
        {"model": model, "modality": modality, **{k: v for k, v in row.items() if k not in ("encoder", "vectors")}}
        for row in rows
    ]
    fields = ("backend", "precision", "recipe", "speed_1", "speed_32", "ms_1", "min_cosine", "mean_cosine",
              "max_difference", "mb", "accuracy", "passed")  # fmt: skip
    print_table(fields, [[f"{row.get(name, '-')}" for name in fields] for row in records], f"{model} {modality}")
    return records


def write_clip(folder: Path) -> str:
    """Write CLIP ViT-B/32 with random weights, and return the name of its binding."""
    folder.mkdir()
    torch.manual_seed(0)
    state: Any = open_clip.create_model("ViT-B-32", pretrained=None).state_dict()
    weights = {name: each.contiguous() for name, each in state.items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    settings = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": settings}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"open_clip:local-dir:{folder}"


if __name__ == "__main__":
    main()
