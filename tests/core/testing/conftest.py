"""What the tests of the kit share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anybind.testing import NotConforming


@pytest.fixture
def broken_rules() -> Callable[..., list[str]]:
    """Run a check and give the rules that its failure names; none where it passes."""

    def run(check: Callable[..., Any], *arguments: Any, **options: Any) -> list[str]:
        failure = None
        try:
            check(*arguments, **options)
        except NotConforming as error:
            failure = str(error)
        if failure is None:
            return []
        told = [line for line in failure.splitlines() if line.startswith("  ") and not line.startswith("    ")]
        assert failure.count("\n    mend: ") == len(told)
        return [line.strip().partition(":")[0] for line in told]

    return run
