"""What is output where MTEB is not installed."""

from __future__ import annotations

import sys

import pytest

from anybind.errors import MissingExtra


@pytest.mark.torch
def test_missing_mteb_reports_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    for name in [name for name in sys.modules if name.startswith("mteb.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "anybind_bench.mteb", raising=False)
    with pytest.raises(MissingExtra, match="pip install 'anybind\\[mteb\\]'"):
        import anybind_bench.mteb  # noqa: F401
