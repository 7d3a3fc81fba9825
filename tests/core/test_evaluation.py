"""`evaluate`: tasks that fail."""

from __future__ import annotations

import pytest

import anybind
from anybind.dataset import Dataset
from anybind.errors import BadInput, PluginError
from anybind.task import Task


class Failing(Task):
    name, main_metric = "failing", "mean"

    def __init__(self, error):
        self.error = error

    def run(self, binder, dataset, *, modality, seed=0, on_bad=None):
        raise self.error


class Empty(Dataset):
    name = "empty"

    def __init__(self):
        self.set_items([])


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ZeroDivisionError("two\nlines"), PluginError, "^the task 'failing' failed: ZeroDivisionError: two lines$"),
        (BadInput("no labels"), BadInput, "^no labels$"),
    ],
)
def test_an_unexpected_error_of_a_task_is_an_error_with_its_name(error, raised, message):
    with pytest.raises(raised, match=message):
        anybind.evaluate(Failing(error), Empty(), modality="image", binding="mini")


class Reporting(Failing):
    def run(self, binder, dataset, *, modality, seed=0, on_bad=None):
        on_bad("a.jpg", self.error)


def test_an_error_of_the_callers_own_function_is_raised_as_it_is():
    def stop(sample, problem):
        raise LookupError(f"{sample}: {problem}")

    with pytest.raises(LookupError, match=r"^'a\.jpg: truncated'$|^a\.jpg: truncated$"):
        anybind.evaluate(Reporting(BadInput("truncated")), Empty(), modality="image", binding="mini", on_bad=stop)
