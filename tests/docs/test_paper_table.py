"""The table of the paper's statements: its tests exist, and no cell is empty."""

from __future__ import annotations

import re

from doc_blocks import ROOT

PAGE = ROOT / "docs" / "explanation" / "paper-and-code.md"
HEADER = "| statement of the paper | where | checked by | changes that fail it | state |"


def list_rows() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    _, *tables = text.split(f"{HEADER}\n")
    lines = [line for table in tables for line in table.partition("\n\n")[0].splitlines()[1:]]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_statement_has_its_place_tests_mutation_and_state():
    rows = list_rows()
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 5, row
        assert all(row), row


def test_the_named_tests_exist():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^ *def (test_\w+)", sources, re.MULTILINE))
    for row in list_rows():
        named = re.findall(r"`(test_\w+)`", row[2])
        assert named, row[0]
        assert set(named) <= defined, set(named) - defined
