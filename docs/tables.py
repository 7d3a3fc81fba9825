"""Writes the tables of these pages and of README.md anew, from the plugins' specs and benchmarks/results.

`python docs/tables.py`; a test holds them against what this makes. A table stands between the comments
`<!-- table of NAME: begin -->` and `<!-- table of NAME: end -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from anybind.plugin import AdapterSpec, BindingSpec, EncoderSpec, RepresentationSpec, list_parts

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/choose-a-binding.md", "docs/licences.md", "docs/performance.md")
SHOWN = {"open_clip": "open_clip:MODEL"}
CARRIED = {"clip-vit-l-14+imagebind": ("clip-vit-l-14", "imagebind")}
"""Bindings whose encoders are those of two others, joined by an adapter."""


def kept(name: str) -> dict[str, Any]:
    """A file of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown; numbers stand on the right."""
    listed = [[str(cell) for cell in row] for row in rows]
    numbers = [all(re.match(r"([\d.,<]+|-)( |$)", row[column]) for row in listed) for column in range(len(header))]
    lines = [header, ["---:" if number else "---" for number in numbers], *listed]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bindings() -> str:
    """Return the table of registered bindings."""
    sizes = kept("sizes")["weights"]
    rows = []
    for part in sorted(list_parts(BindingSpec), key=lambda part: (part.name != "mini", part.name)):
        counted = _weights(part.name, sizes)
        millions = f"{sum(counted.values()) / 1e6:,.0f}" if counted else "-"
        extras = ["adapters"] * (part.name in CARRIED) + [part.spec.extra]
        licence = part.spec.weights_licence or "as published with the model"
        name = SHOWN.get(part.name, part.name)
        rows.append((f"`{name}`", ", ".join(part.spec.modalities), millions, ", ".join(extras), licence))
    return table(("binding", "modalities", "million weights", "extra", "licence of the weights"), rows)


def _weights(binding: str, sizes: dict[str, dict[str, int]]) -> dict[str, int]:
    """How many weights, by modality; nothing where they were not counted."""
    if binding in CARRIED:
        own, other = (sizes[side] for side in CARRIED[binding])
        return {**other, **own}
    return sizes.get(binding, {})


def licences() -> str:
    """Return the table of parts with weights and their licences."""
    rows = [
        (part.kind, f"`{part.name}`", part.spec.licence, part.spec.weights_licence)
        for kind in (EncoderSpec, AdapterSpec, RepresentationSpec)
        for part in list_parts(kind)
        if part.spec.weights_licence
    ]
    return table(("kind", "part", "code", "weights"), rows)


def quality() -> str:
    """How often `mini` is right, by what was asked."""
    rows = [("sounds of ESC-10, fold 4", "words, among 10", *kept("esc10")["rows"][0][1:])]
    for row in kept("retrieval_mini")["rows"]:
        if row["data"] == "tuxpaint-triplets" and row["to"] in ("image", "text") and row["from"] in ("event", "image"):
            low, high = row["intervals"]["R@1"]
            asked = f"{'their picture' if row['to'] == 'image' else 'their words'}, among {row['gallery']}"
            what = "drawings" if row["from"] == "image" else "simulated recordings of drawings"
            rows.append((what, asked, f"{row['metrics']['R@1']:.3f}", f"{low:.3f} to {high:.3f}", row["queries"]))
    return table(("samples", "asked for", "first answer right", "95 %", "n"), rows)


def speed_of_embedding() -> str:
    """What a binding costs over bare towers."""
    held = kept("embed")
    rows = [
        (row["what"], row["n"], f"{row['binder']:.0f}", f"{row['bare']:.0f}", f"{row['ratio']:.2f}")
        for row in held["rows"]
    ]
    return table(("by `mini`", "n", "per s through the binder", "per s, bare loop", "ratio"), rows)


def representations() -> str:
    """Rates of the representations on moving edges, a million events."""
    rows = [
        (
            f"`{row['what']}`",
            f"{row['events_per_second'] / 1e6:.0f}",
            f"{row['times_floor']:.1f}",
            *(_times(row["peers"], peer) for peer in ("tonic", "evlib")),
        )
        for row in kept("events")["rows"]
        if row["pixels"] == "moving edges" and row["events"] == 1_000_000
    ]
    return table(("representation", "million events per s", "times the memory floor", "x tonic", "x evlib"), rows)


def _times(peers: dict[str, Any], peer: str) -> str:
    return f"{peers[peer]['times_slower']:.0f}" if peer in peers else "-"


def readers() -> str:
    """Rates of the readers on ten million made events."""
    rows = [
        (
            row["what"].removeprefix("made "),
            row["peer"],
            f"{row['anybind']:.0f}",
            f"{row['theirs']:.0f}",
            f"{row['ratio']:.1f}",
        )
        for row in kept("readers")["rates"]
        if row["what"].startswith("made")
    ]
    return table(("format", "peer", "million events per s", "theirs", "times as fast"), rows)


def films() -> str:
    """Rates of decoding and of what is made of frames."""
    rows = [
        (row["codec"], row["way"], f"{row['rate']:.0f}", f"{row['PyAV']:.2f}")
        for name in ("video", "vad")
        for row in kept(name)["rows"]
        if not row["way"].startswith("PyAV") and row["way"] != "stride 4"
    ]
    return table(("codec", "what is made", "frames per s", "of decoding alone"), rows)


def sounds() -> str:
    """Rates of log mel energies."""
    rows = [
        (row["batch"], row["threads"], f"{row['clips_per_second']:.0f}", f"{row['ratio']:.1f}")
        for row in kept("sound")["rows"]
    ]
    return table(("clips a batch", "threads", "clips of 2 s per s", "times torchaudio's rate"), rows)


def retrieval() -> str:
    """Searches and metrics, over what they cannot do without."""
    rows = [(row["what"], f"{1000 * row['seconds']:.0f}", f"{row['ratio']:.2f}") for row in kept("retrieval")["rows"]]
    return table(("what", "ms", "times the floor"), rows)


def training() -> str:
    """What the engine costs over a bare loop."""
    names = {
        "engine and bare loop": ("anybind's engine", "a loop by hand"),
        "teacher kept and anew": ("the teacher's vectors kept", "computed anew"),
    }
    rows = [
        (*names[row["what"]], f"{row['ours']:.0f}", f"{row['other']:.0f}", f"{row['ratio']:.2f}")
        for row in kept("train")["rows"]
    ]
    return table(("ours", "beside", "samples per s", "theirs", "ratio"), rows)


def suite() -> str:
    """The suite `mini`, without and with a cache of embeddings."""
    names = {"first": "with an empty cache", "second": "again, with that cache"}
    rows = [
        (names[row["run"]], row["cells"], row["computed"], row["cached"], f"{row['seconds']:.0f}")
        for row in kept("suite")["rows"]
    ]
    return table(("run", "cells", "embeddings computed", "from the cache", "seconds"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "bindings": bindings,
    "licences": licences,
    "quality": quality,
    "embedding": speed_of_embedding,
    "representations": representations,
    "readers": readers,
    "films": films,
    "sounds": sounds,
    "searches": retrieval,
    "training": training,
    "suite": suite,
}


def filled(text: str) -> str:
    """A page with each of its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}"

    marks = r"(<!-- table of ([\w-]+): begin -->)\n.*?(<!-- table of \2: end -->)"
    return re.sub(marks, made, text, flags=re.DOTALL)


def main() -> None:
    """Write the pages that changed."""
    for name in PAGES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
