"""MTEB: bindings as encoders for `mteb.evaluate`, tasks on our datasets, results as MTEB's files; extra `mteb`."""

from __future__ import annotations

from anybind.plugin import errors

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false
try:
    from mteb.types import Modalities as _Modalities  # noqa: F401
except ModuleNotFoundError as error:
    raise errors.MissingExtra(f"cannot import MTEB ({error}): pip install 'anybind[mteb]'") from error

from anybind_bench.mteb.encoder import MtebEncoder, as_mteb_encoder
from anybind_bench.mteb.results import write_mteb_results
from anybind_bench.mteb.tasks import as_mteb_task

__all__ = ["MtebEncoder", "as_mteb_encoder", "as_mteb_task", "write_mteb_results"]
