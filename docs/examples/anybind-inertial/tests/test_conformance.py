"""The plugin's parts pass anybind's conformance checks."""

from anybind.testing import parametrize_with_checks


@parametrize_with_checks("inertial")
def test_conformance(check):
    check()
