"""Tables of rates and times, from benchmarks/results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from page_tables.formatting import format_table, read_results, use_field_terms


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
