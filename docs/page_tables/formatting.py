"""Results of benchmarks as Markdown tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


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
