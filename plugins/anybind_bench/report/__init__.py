"""Reports of results: the table as it was published, ours beside it, plots, footnotes."""
