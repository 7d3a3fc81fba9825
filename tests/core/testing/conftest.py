"""Fixtures of the tests of conformance checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anybind.testing import ConformanceError, Example, check


@pytest.fixture
def failed_checks() -> Callable[..., list[str]]:
    """Check an object and return the names of the failed checks."""

    def run(subject: object, example: Example | None = None, **options: Any) -> list[str]:
        try:
            return check(subject, example, **options).failed
        except ConformanceError as error:
            lines = str(error).splitlines()[1:]
            assert all(line.startswith("    remedy: ") for line in lines[1::2])
            return [line.strip().partition(":")[0] for line in lines[::2]]

    return run
