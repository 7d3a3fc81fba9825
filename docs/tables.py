"""Write the tables of these pages and of README.md from the plugins' specs and benchmarks/results.

`python docs/tables.py`; a test compares the pages with the output. A table stands between the comments
`<!-- table of NAME: begin -->` and `<!-- table of NAME: end -->`. The build of the
site replaces `<!-- generated table: NAME -->` by a table of registered parts.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anybind.plugin import (
    AdapterSpec,
    BindingSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    HeadSpec,
    ReaderSpec,
    RepresentationSpec,
    TaskSpec,
    list_parts,
    readers,
    specs,
)

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {
    "open_clip": "open_clip:MODEL",
    "eventclip": "eventclip:BASE",
    "eventbind": "eventbind:BASE",
    "sentence-transformers": "sentence-transformers:MODEL",
}
JOINED = {"clip-vit-l-14+imagebind": ("clip-vit-l-14", "imagebind")}
"""Bindings whose encoders are those of two others, joined by an adapter."""


def read_results(name: str) -> dict[str, Any]:
    """Read a file of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def use_field_terms(text: str) -> str:
    """Return a label of benchmarks/results in the terms of these pages."""
    return text.replace("picture", "image")


def format_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table; columns of numbers align right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numbers = [all(re.match(r"([\d.,<]+|-)( |$)", row[column]) for row in cells) for column in range(len(header))]
    lines = [header, ["---:" if number else "---" for number in numbers], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def list_bindings() -> str:
    """Format the table of registered bindings."""
    sizes = read_results("sizes")["weights"]
    rows = []
    for part in sorted(list_parts(BindingSpec), key=lambda part: (part.name != "mini", part.name)):
        counts = count_weights(part.name, sizes)
        millions = f"{sum(counts.values()) / 1e6:,.0f}" if counts else "-"
        extras = ["adapters"] * (part.name in JOINED) + [part.spec.extra]
        licence = part.spec.weights_licence or "as published with the model"
        name = NAMES.get(part.name, part.name)
        rows.append((f"`{name}`", ", ".join(part.spec.modalities), millions, ", ".join(extras), licence))
    return format_table(("binding", "modalities", "million weights", "extra", "licence of the weights"), rows)


def count_weights(binding: str, sizes: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the number of weights by modality; empty where they were not counted."""
    if binding in JOINED:
        own, other = (sizes[side] for side in JOINED[binding])
        return {**other, **own}
    return sizes.get(binding, {})


def list_licences() -> str:
    """Format the table of parts with weights, grouped by licence."""
    groups: dict[tuple[str, str], list[str]] = {}
    for kind in (EncoderSpec, AdapterSpec, RepresentationSpec):
        for part in list_parts(kind):
            if part.spec.weights_licence:
                groups.setdefault((part.spec.weights_licence, part.spec.licence), []).append(f"`{part.name}`")
    rows = [(", ".join(names), code, weights) for (weights, code), names in groups.items()]
    return format_table(("parts", "code", "weights"), rows)


def list_readers() -> str:
    """Format the table of registered readers."""
    rows = []
    for part in sorted(list_parts(ReaderSpec), key=lambda part: (part.spec.modality != "event", part.name)):
        endings = " ".join(f"`{suffix}`" for suffix in part.spec.suffixes)
        writes = "yes" if part.load().write is not readers.Reader.write else ""
        rows.append((f"`{part.name}` ({part.spec.modality})", endings, part.spec.summary, writes))
    return format_table(("reader", "endings", "formats", "writes"), rows)


def list_representations() -> str:
    """Format the table of registered representations."""
    rows = [(f"`{part.name}`", part.spec.modality, part.spec.summary) for part in list_parts(RepresentationSpec)]
    return format_table(("representation", "modality", ""), rows)


def list_plugins() -> str:
    """Format the table of the bundled plugins: the parts of each that a user names."""
    kinds: Sequence[type[specs.Spec] | str] = (
        BindingSpec,
        AdapterSpec,
        HeadSpec,
        TaskSpec,
        CommandSpec,
        "loss",
        "suite",
        EncoderSpec,
        DatasetSpec,
        "filter",
    )
    parts = [part for kind in kinds for part in list_parts(kind) if part.distribution == "anybind"]
    rows = []
    for plugin in sorted({part.plugin for part in parts}):
        by_kind: dict[str, list[str]] = {}
        for part in parts:
            if part.plugin == plugin:
                by_kind.setdefault(part.kind, []).append(f"`{part.name}`")
        for kind in ("encoder", "dataset", "filter"):  # pages of their own list them
            if kind in by_kind:
                by_kind[kind] = [str(len(by_kind[kind]))]
        rows.append((f"`{plugin}`", "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())))
    return format_table(("plugin", "parts"), rows)


def measure_quality() -> str:
    """Format the measured results of `mini`: metric, n, interval, chance level, and the command of each row."""
    rows: list[tuple[object, ...]] = []
    samples = {
        "images": "images",
        "saccades": "simulated saccades",
        "noisy saccades": "the same with as many random events",
        "motion": "simulated general motion of small objects, with noise",
    }
    for row in read_results("mini_event_unseen")["rows"]:
        value, low, high = (f"{number:.3f}" for number in row["own"])
        what = f"zero-shot, 15 unseen classes of Caltech101: {samples[row['samples']]}"
        command = "`make event-figures CLASSES=unseen`"
        rows.append((what, "top-1 of 15", value, f"{low} to {high}", "0.067", row["n"], command))
    sounds = {
        "ESC-10, fold 4": "ESC-10 fold 4",
        "animal_sounds": "six animals",
        "gcompris_instruments": "instruments of GCompris",
    }
    for row in read_results("esc10")["rows"]:
        if row["classifier"] == 'zero-shot, "the sound of {}"':
            value, interval, n = row["cells"]
            what, metric = f"zero-shot, {sounds[row['data']]}: audio clips", f"top-1 of {row['classes']}"
            rows.append((what, metric, value, interval, row["chance"], n, "`make esc10`"))
    sides = {
        "image": "drawings",
        "event": "simulated recordings of drawings",
        "sound": "audio clips",
    }
    for row in read_results("retrieval_mini")["rows"]:
        if row["data"] == "tuxpaint-triplets" and row["to"] in ("image", "text") and row["from"] in sides:
            target = {"image": "their image", "text": "their caption"}[row["to"]]
            cells = format_metric(row, "R@1")
            name = f"retrieval, Tux Paint: {sides[row['from']]} to {target}"
            rows.append((name, f"R@1 of {row['gallery']}", *cells, row["queries"], "`make retrieval-mini`"))
    for row in read_results("vad_ped2")["rows"]:
        if (row["window"], row["stride"], row["fitted"], row["frames"]) == (16, 16, "", 690):
            names = {"event-rate": "`event-rate`", "zero-shot, general": "`zero-shot`"}
            if row["head"] in names:
                low, high = row["auc_interval"]
                name = f"anomaly detection, 4 clips of UCSD Ped2: {names[row['head']]}"
                interval = f"{low:.3f} to {high:.3f}"
                rows.append((name, "AUC", f"{row['auc']:.3f}", interval, "0.5", "690 frames", "`make vad-ped2`"))
    return format_table(("task and data", "metric", "result", "95 % interval", "chance", "n", "command"), rows)


def format_metric(row: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    """Return a metric's value, interval and chance level as text."""
    low, high = row["intervals"][name]
    return f"{row['metrics'][name]:.3f}", f"{low:.3f} to {high:.3f}", f"{row['chance'][name]:.3f}"


def measure_retrieval() -> str:
    """Format R@1 of `mini` on Tux Paint for all pairs of modalities, with interval and chance level."""
    rows = [
        (f"{row['from']} to {row['to']}", row["queries"], *format_metric(row, "R@1"))
        for row in read_results("retrieval_mini")["rows"]
        if row["data"] == "tuxpaint-triplets"
    ]
    return format_table(("query to gallery", "n", "R@1", "95 % interval", "chance"), rows)


def measure_depth() -> str:
    """Format R@1 and MRR of `mini` between depth maps and images, with interval and chance level."""
    rows = [
        (
            row["data"],
            f"{row['from']} to {row['to']}",
            row["queries"],
            *format_metric(row, "R@1"),
            *format_metric(row, "MRR"),
        )
        for row in read_results("depth_retrieval")["rows"]
    ]
    header = ("data", "query to gallery", "n", "R@1", "95 % interval", "chance", "MRR", "95 % interval", "chance")
    return format_table(header, rows)


def measure_anomalies() -> str:
    """Format the AUC of the main heads on UCSD Ped2, by window and stride in frames."""
    cells: dict[tuple[str, str], dict[tuple[int, int], str]] = {}
    for row in read_results("vad_ped2")["rows"]:
        if re.search(r"ucf-crime|nearest|top-k", row["head"]) or (not row["fitted"] and row["frames"] == 598):
            continue
        low, high = row["auc_interval"]
        auc = f"{row['auc']:.3f} ({low:.2f}-{high:.2f})"
        cells.setdefault((row["head"], row["fitted"] or "-"), {})[row["window"], row["stride"]] = auc
    sizes = sorted({size for by_size in cells.values() for size in by_size})
    rows = [(*key, *(by_size[size] for size in sizes)) for key, by_size in cells.items()]
    return format_table(("head", "fitted on", *(f"{window} / {stride}" for window, stride in sizes)), rows)


def measure_embedding() -> str:
    """Format the overhead of a binding over bare encoders."""
    rows = [
        (use_field_terms(row["what"]), row["n"], f"{row['binder']:.0f}", f"{row['bare']:.0f}", f"{row['ratio']:.2f}")
        for row in read_results("embed")["rows"]
    ]
    return format_table(("by `mini`", "n", "per s through the binder", "per s, bare loop", "ratio"), rows)


def measure_representations() -> str:
    """Format the rates of the representations on moving edges, a million events."""
    rows = [
        (
            f"`{row['representation']}`",
            f"{row['events_per_second'] / 1e6:.0f}",
            f"{row['times_floor']:.1f}",
            *(format_ratio(row["peers"], peer) for peer in ("tonic", "evlib")),
        )
        for row in read_results("events")["rows"]
        if row["recording"] == "moving edges" and row["events"] == 1_000_000
    ]
    header = ("representation", "million events per s", "times the memory floor", "x tonic", "x evlib")
    return format_table(header, rows)


def format_ratio(peers: Mapping[str, Any], peer: str) -> str:
    """Return how many times slower a peer is."""
    return f"{peers[peer]['times_slower']:.0f}" if peer in peers else "-"


def measure_filters() -> str:
    """Format the rates of the filters, and those of the peers on the same events."""
    rows = []
    results = read_results("filters")["rates"]
    for name in dict.fromkeys(row["filter"] for row in results):
        edges, pixels = (
            next(row for row in results if row["filter"] == name and row["recording"] == recording)
            for recording in ("moving edges", "uniform pixels")
        )
        rates = [f"{row['rates']['anybind'] / 1e6:.0f}" for row in (edges, pixels)]
        peers = [
            f"{edges['rates'][peer] / 1e6:.3g}" if peer in edges["rates"] else "-"
            for peer in ("dv-processing", "eventcv", "evlab")
        ]
        rows.append((f"`{name}`", *rates, *peers))
    header = ("filter", "million events per s", "of uniform pixels", "dv-processing", "eventcv", "evlab")
    return format_table(header, rows)


def measure_noise() -> str:
    """Format the areas under the curve of background activity filters."""
    scenes = {"plain": "an object before a plain background", "full": "a photograph that fills the sensor"}
    rows = [
        (
            scenes[row["background"]],
            "x".join(map(str, row["sensor"])),
            f"{row['hz']:g}",
            *(f"{row['auc'][name]:.3f}" for name in ("anybind", "dv-processing")),
        )
        for row in read_results("filters")["noise"]
    ]
    return format_table(("scene", "sensor", "noise, Hz a pixel", "AUC", "dv-processing"), rows)


def measure_robustness() -> str:
    """Format the robustness of mini by corruption, without and with filters."""
    rows = []
    for row in read_results("robustness")["rows"]:
        metrics = row["metrics"]
        cells = (
            f"{metrics[name]:.2f}" if name in metrics else "-"
            for name in ("top1", "filtered_top1", "cosine", "filtered_cosine")
        )
        name = "clean" if row["corruption"] == "none" else row["corruption"]
        rows.append((row["recordings"], name, row["n"], *cells))
    header = ("recordings", "corruption", "n", "top-1", "top-1, filtered", "cosine to clean", "cosine, filtered")
    return format_table(header, rows)


def list_filters() -> str:
    """Format the table of registered filters with their options."""
    rows = []
    for part in list_parts("filter"):
        parameters = inspect.signature(part.load()).parameters.values()
        options = ", ".join(
            f"`{each.name}`" if each.default is each.empty else f"`{each.name}={json.dumps(each.default)}`"
            for each in parameters
        )
        rows.append((f"`{part.name}`", part.spec.summary, options or "-"))
    return format_table(("filter", "", "options and defaults"), rows)


def measure_readers() -> str:
    """Format the rates of the readers on ten million generated events, relative to those of other packages."""
    formats: dict[str, list[dict[str, Any]]] = {}
    for row in read_results("readers")["rates"]:
        if row["recording"].startswith("synthetic"):
            formats.setdefault(row["recording"].removeprefix("synthetic "), []).append(row)
    rows = [
        (name, f"{rates[0]['anybind']:.0f}", ", ".join(f"{each['ratio']:.1f} x {each['peer']}" for each in rates))
        for name, rates in formats.items()
    ]
    return format_table(("format", "million events per s", "relative to"), rows)


def measure_video() -> str:
    """Format the rates of decoding and of processing frames."""
    rows = [
        (row["codec"], use_field_terms(row["method"]), f"{row['rate']:.0f}", f"{row['PyAV']:.2f}")
        for name in ("video", "vad")
        for row in read_results(name)["rows"]
        if not row["method"].startswith("PyAV") and row["method"] != "stride 4"
    ]
    return format_table(("codec", "output", "frames per s", "of decoding alone"), rows)


def measure_sound() -> str:
    """Format the rates of log mel energies."""
    rows = [
        (row["batch"], row["threads"], f"{row['clips_per_second']:.0f}", f"{row['ratio']:.1f}")
        for row in read_results("sound")["rows"]
    ]
    return format_table(("batch size", "threads", "clips of 2 s per s", "times torchaudio's rate"), rows)


def measure_search() -> str:
    """Format the time of searches and metrics, relative to their lower bounds."""
    rows = [
        (row["what"], f"{1000 * row['seconds']:.0f}", f"{row['ratio']:.2f}")
        for row in read_results("retrieval")["rows"]
    ]
    return format_table(("operation", "ms", "times the floor"), rows)


def measure_torch_inference() -> str:
    """Format the speed of variants of the torch path."""
    rows: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for row in read_results("torch_inference")["rows"]:
        if row["variant"] != "eager":
            rows.setdefault((row["model"], row["variant"]), {})[row["batch"]] = row
    cells = [
        (*key, *(f"{batch[size]['speed']:.1f}" for size in (1, 32)), f"{min(b['cosine'] for b in batch.values()):.4f}")
        for key, batch in rows.items()
    ]
    return format_table(("image encoder", "variant", "speed, batch of 1", "batch of 32", "cosine"), cells)


def measure_decoding() -> str:
    """Format the speed of decoding in processes."""
    results = read_results("decode")
    rows = [
        (row["files"], row["n"], f"{row['milliseconds']:.1f}", f"{row['ratio']:.1f}", f"{row['start_seconds']:.0f}")
        for row in results["rows"]
    ]
    return format_table(("files", "n", "threads, ms a file", "speed of processes", "start, s"), rows)


def measure_index_formats() -> str:
    """Format recall, size and speed of the ways to store vectors."""
    rows = [
        (
            f"{row['embeddings']}, {row['n']:,}",
            f"`{row['vectors']}`",
            row["dimensions"],
            f"{row['bytes']:.0f}",
            f"{row['recall']:.3f}",
            f"{row['speed']:.1f}" if "speed" in row else "-",
        )
        for row in read_results("index_formats")["rows"]
    ]
    return format_table(("embeddings", "vectors", "dimensions", "bytes", "recall@10", "speed"), rows)


def measure_training() -> str:
    """Format the overhead of the training engine over a bare loop."""
    names = [("anybind's engine", "a bare loop"), ("cached teacher embeddings", "computed again")]
    rows = [
        (*sides, f"{row['ours']:.0f}", f"{row['other']:.0f}", f"{row['ratio']:.2f}")
        for sides, row in zip(names, read_results("train")["rows"], strict=True)
    ]
    return format_table(("ours", "baseline", "samples per s", "baseline's", "ratio"), rows)


def measure_few_shot() -> str:
    """Format the top-1 accuracy of few-shot methods, by shots."""
    names = {
        "full": "fine-tuned (`mini-few-shot`)",
        "prompts": "learned prompts",
        "linear-probe": "linear probe on the frozen encoder",
    }
    by_shots: dict[int, dict[str, dict[str, Any]]] = {}
    for row in read_results("few_shot")["rows"]:
        by_shots.setdefault(row["shots"], {})[row["method"]] = row
    rows = [
        (
            shots,
            f"{rows['full']['before']:.3f}",
            *(f"{rows[name]['top1']:.3f} ({rows[name]['spread']:.3f})" for name in names),
        )
        for shots, rows in by_shots.items()
    ]
    return format_table(("shots", "zero-shot", *names.values()), rows)


def measure_startup() -> str:
    """Format the processor time of whole commands, relative to that of imports alone."""
    results = read_results("startup")
    rows = [(f"`anybind {row['command']}`", f"{row['seconds']:.2f}", f"{row['ratio']:.1f}") for row in results["rows"]]
    return format_table(
        ("command", "CPU seconds", "times the floor"), [*rows, ("the floor", f"{results['floor']:.2f}", "1.0")]
    )


def measure_suite() -> str:
    """Format the duration of the suite `mini` with an empty and with a filled store."""
    names = {"first": "with an empty store", "second": "again, with that store"}
    rows = [
        (names[row["run"]], row["cells"], row["computed"], row["cached"], f"{row['seconds']:.0f}")
        for row in read_results("suite")["rows"]
    ]
    return format_table(("run", "cells", "embeddings computed", "from the store", "seconds"), rows)


def measure_inference() -> str:
    """Format speed, accuracy and size of the encoders of `mini` by backend and precision."""
    rows = []
    for row in read_results("inference")["rows"]:
        encoder = row["modality"] if row["model"] == "mini" else row["model"]
        variant = f"{row['backend']} {row['precision']}" + (f" ({row['recipe']})" if row["recipe"] else "")
        accuracy = f"{row['accuracy']:.3f}" if "accuracy" in row else "-"
        cosines = f"{row['min_cosine']:.4f}", f"{row['mean_cosine']:.4f}", f"{row['max_difference']:.0e}"
        speeds = f"{row['speed_1']:.1f}", f"{row['speed_32']:.1f}"
        rows.append((encoder, variant, *speeds, *cosines, f"{row['mb']:.1f}", accuracy))
    header = ("encoder", "backend", "batch 1", "batch 32", "min cosine", "mean", "max difference", "MB", "accuracy")
    return format_table(header, rows)


def measure_joint_queries() -> str:
    """Format the metrics of joint queries beside those of their parts."""
    rows = [
        (
            row["queries"].replace("+", " and "),
            row["gallery"],
            ", ".join(f"{name} {weight:.2f}" for name, weight in row["weights"].items()) if "weights" in row else "",
            row["method"] if row["method"] in ("mean", "fitted") else f"{row['method']} alone",
            *(f"{row[key]:.3f}" for key in ("R@1", "R@5", "MRR")),
        )
        for row in read_results("joint_retrieval")["rows"]
    ]
    return format_table(("queries", "gallery", "mean weights", "query", "R@1", "R@5", "MRR"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "bindings": list_bindings,
    "licences": list_licences,
    "quality": measure_quality,
    "retrieval": measure_retrieval,
    "depth": measure_depth,
    "anomalies": measure_anomalies,
    "embedding": measure_embedding,
    "representations": measure_representations,
    "filters": measure_filters,
    "noise": measure_noise,
    "robustness": measure_robustness,
    "readers": measure_readers,
    "video": measure_video,
    "sound": measure_sound,
    "searches": measure_search,
    "joint-queries": measure_joint_queries,
    "torch-inference": measure_torch_inference,
    "decoding": measure_decoding,
    "index-formats": measure_index_formats,
    "training": measure_training,
    "few-shot": measure_few_shot,
    "startup": measure_startup,
    "suite": measure_suite,
    "inference": measure_inference,
}
GENERATED: dict[str, Callable[[], str]] = {
    "readers": list_readers,
    "representations": list_representations,
    "filters": list_filters,
    "plugins": list_plugins,
}
PAGES = (
    "README.md",
    "docs/how-to/call-from-python.md",
    "docs/how-to/speed-up-inference.md",
    *sorted(f"docs/{path.relative_to(ROOT / 'docs')}" for path in ROOT.glob("docs/reference/*.md")),
)


def fill_tables(text: str) -> str:
    """Return a page with each of its tables written again."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}"

    marks = r"(<!-- table of ([\w-]+): begin -->)\n.*?(<!-- table of \2: end -->)"
    return re.sub(marks, fill, text, flags=re.DOTALL)


def generate_tables(text: str) -> str:
    """Return a page of the site with its tables of registered parts."""
    return re.sub(r"<!-- generated table: ([\w-]+) -->", lambda match: GENERATED[match[1]](), text)


def main() -> None:
    """Write the pages that changed."""
    for name in PAGES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (new := fill_tables(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
