"""Choice of the length of windows by content."""

from __future__ import annotations


def choose_window(stream):
    return 100_000
