"""Tables of accuracies and other metrics, from benchmarks/results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from page_tables.formatting import format_table, read_results


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
