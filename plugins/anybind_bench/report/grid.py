"""The table as words, with its footnotes: what the page, the Markdown file and the terminal all print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from anybind_bench.report.answers import Answer, Column, Ours, Section
from anybind_bench.report.numbers import NOTHING, as_printed, between, difference, metric_title, ours

MOST_COLUMNS = 8
"""A table with more columns is turned."""


class Footnotes:
    """Footnotes of a whole report, numbered from 1; the same words are one footnote."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def marks(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The numbers of some footnotes, new ones where their words are new."""
        found = []
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
            found.append(self.texts.index(text) + 1)
        return tuple(found)


@dataclass(frozen=True)
class Entry:
    """A place in the table.

    Attributes:
        text: what stands there.
        more: smaller lines below it.
        marks: numbers of footnotes.
        kind: what it is, of rows and columns: published, chance, ours, interval or difference.
        group: of a head, what it shares with its neighbours: the evaluation, where each has several metrics.
        sign: of a difference of shares, -1 or 1.
    """

    text: str
    more: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()
    kind: str = ""
    group: str = ""
    group_marks: tuple[int, ...] = ()
    sign: int = 0


@dataclass(frozen=True)
class Grid:
    """Heads of columns, and rows of a label and as many entries."""

    heads: list[Entry]
    rows: list[tuple[Entry, list[Entry]]] = field(default_factory=list)

    def turned(self) -> Grid:
        """Rows for columns."""
        columns = zip(*(entries for _, entries in self.rows), strict=True)
        return Grid([label for label, _ in self.rows], list(zip(self.heads, map(list, columns), strict=True)))


def grid(section: Section, notes: Footnotes) -> Grid:
    """The table of a suite: a row for each whose numbers are in it, a column for each evaluation and metric.

    Where there would be more columns than `MOST_COLUMNS` it is turned, and intervals and numbers of samples have
    columns of their own.
    """
    turn = len(section.columns) > MOST_COLUMNS
    table = Grid([_head(column, section, notes) for column in section.columns])
    for whose, numbers in section.published.items():
        entries = [
            Entry(as_printed(number, column.share)) for number, column in zip(numbers, section.columns, strict=True)
        ]
        table.rows.append((Entry(whose, kind="published"), entries))
    if any(number is not None for number in section.chance):
        entries = [Entry(ours(*pair)) for pair in zip(section.chance, (c.share for c in section.columns), strict=True)]
        table.rows.append((Entry("chance", kind="chance"), entries))
    for each in section.ours:
        _add_ours(table, section, each, notes, turn)
    return table.turned() if turn else table


def _head(column: Column, section: Section, notes: Footnotes) -> Entry:
    evaluation, marks = column.evaluation, notes.marks(footnotes(column, section))
    if len(evaluation.metrics) > 1:
        return Entry(metric_title(column.metric), group=evaluation.title, group_marks=marks)
    return Entry(evaluation.title, more=(metric_title(column.metric),), marks=marks)


def footnotes(column: Column, section: Section) -> list[str]:
    """Footnotes of an evaluation: its source where that is not the suite's, and what differs from it."""
    evaluation = column.evaluation
    told = f"published numbers: {evaluation.source}" if evaluation.source != section.suite.source else ""
    return [*([told] if evaluation.source and told else []), *evaluation.differs]


def _add_ours(table: Grid, section: Section, each: Ours, notes: Footnotes, turn: bool) -> None:
    shares = [column.share for column in section.columns]
    pairs = list(zip(each.answers, shares, strict=True))
    entries = [
        Entry(
            ours(answer.value, share),
            more=() if turn else tuple(filter(None, (sure(answer, share), size(answer)))),
            marks=notes.marks(answer.reasons),
        )
        for answer, share in pairs
    ]
    table.rows.append((Entry(each.row.name, kind="ours"), entries))
    if turn and any(answer.interval or answer.deviation is not None for answer in each.answers):
        label = Entry(
            "95 % interval" if any(answer.interval for answer in each.answers) else "deviation", kind="interval"
        )
        table.rows.append((label, [Entry(sure(answer, share) or NOTHING) for answer, share in pairs]))
    if turn:
        counts = [NOTHING if answer.n is None else f"{answer.n:,}" for answer in each.answers]
        table.rows.append((Entry("n", kind="interval"), [Entry(count) for count in counts]))
    if each.against in section.published:
        apart = list(zip(section.differences(each), shares, strict=True))
        entries = [Entry(difference(*pair), sign=_sign(*pair)) for pair in apart]
        table.rows.append((Entry(f"difference to {each.against}", kind="difference"), entries))


def sure(answer: Answer, share: bool) -> str:
    """How sure an answer is: its interval, or the deviation over seeds."""
    if answer.deviation is not None:
        return f"± {ours(answer.deviation, share)}, {len(answer.seeds)} seeds"
    return between(answer.interval, share)


def size(answer: Answer) -> str:
    """How many samples were asked about: `n = 1,741`."""
    return "" if answer.n is None else f"n = {answer.n:,}"


def _sign(value: float | None, share: bool) -> int:
    """Whether ours is better or worse: of shares alone is it known that more is better."""
    return 0 if value is None or not share else (value > 0) - (value < 0)


def remarks(section: Section) -> list[str]:
    """Lines below a table: how to read it, sources, and what differs in the whole suite."""
    answers = [answer for each in section.ours for answer in each.answers]
    held = any(each.against in section.published for each in section.ours)
    apart = ", their differences in percentage points" if held else ""
    told = [f"Shares are in per cent{apart}." if any(column.share for column in section.columns) else ""]
    if any(answer.interval for answer in answers):
        told.append("Intervals hold 95 %.")
    if any(answer.deviation is not None for answer in answers):
        told.append("Of several seeds: the mean ± the standard deviation.")
    lines = [" ".join(filter(None, told))]
    if section.suite.source and section.published:
        lines.append(f"Published numbers: {section.suite.source}.")
    return [line for line in (*lines, *section.suite.differs) if line]
