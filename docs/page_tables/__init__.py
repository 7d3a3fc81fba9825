"""The tables of README.md and of the pages: of parts, quality and speed."""
