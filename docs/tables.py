"""Write the tables of these pages and of README.md from the plugins' specs and benchmarks/results.

`python docs/tables.py`; a test compares the pages with the output. A table stands between the comments
`<!-- table of NAME: begin -->` and `<!-- table of NAME: end -->`. The build of the
site replaces `<!-- generated table: NAME -->` by a table of registered parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from page_tables import parts, quality, speed
from page_tables.formatting import ROOT

TABLES: dict[str, Callable[[], str]] = {
    "bindings": parts.list_bindings,
    "licences": parts.list_licences,
    "quality": quality.measure_quality,
    "retrieval": quality.measure_retrieval,
    "depth": quality.measure_depth,
    "anomalies": quality.measure_anomalies,
    "embedding": speed.measure_embedding,
    "representations": speed.measure_representations,
    "filters": speed.measure_filters,
    "noise": quality.measure_noise,
    "robustness": quality.measure_robustness,
    "readers": speed.measure_readers,
    "video": speed.measure_video,
    "sound": speed.measure_sound,
    "searches": speed.measure_search,
    "joint-queries": quality.measure_joint_queries,
    "torch-inference": speed.measure_torch_inference,
    "decoding": speed.measure_decoding,
    "index-formats": speed.measure_index_formats,
    "training": speed.measure_training,
    "few-shot": quality.measure_few_shot,
    "startup": speed.measure_startup,
    "suite": speed.measure_suite,
    "inference": speed.measure_inference,
}
GENERATED: dict[str, Callable[[], str]] = {
    "readers": parts.list_readers,
    "representations": parts.list_representations,
    "filters": parts.list_filters,
    "plugins": parts.list_plugins,
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
