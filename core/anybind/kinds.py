"""Kinds of part that a plugin declares, for others to contribute to: the base class of their specs, and a kind's spec.

Public as `anybind.plugin.kinds`.
"""

from anybind.spec import KindSpec as KindSpec
from anybind.spec import Spec as Spec
