"""What the plugin brings keeps anybind's contract."""

import pytest
from anybind.testing import check_part, parts_of


@pytest.mark.parametrize("part", parts_of("inertial"), ids=lambda part: f"{part.kind}-{part.name}")
def test_part_conforms(part):
    check_part(part)
