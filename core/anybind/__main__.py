"""`python -m anybind` is the `anybind` command."""

from anybind.cli import main

main()
