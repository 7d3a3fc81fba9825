"""Spaces: the types of their fields."""

from __future__ import annotations

import numpy as np
import pytest

from anybind import Space
from anybind.errors import BadOption


def test_the_dimension_becomes_an_int():
    assert type(Space("s", np.int64(4)).dim) is int
    assert Space("s", np.int64(4)) == Space("s", 4)


@pytest.mark.parametrize("dim", ["4", 4.0, True, 0, None])
def test_another_dimension_than_an_integer_above_0_is_refused(dim):
    with pytest.raises(BadOption, match="dimensions of the space 's': expected an integer above 0, got"):
        Space("s", dim)


@pytest.mark.parametrize("fields", [(3, 4), ("s", 4, None)])
def test_a_name_or_source_that_is_no_text_is_refused(fields):
    with pytest.raises(BadOption, match="expected texts for name and backbone"):
        Space(*fields)
