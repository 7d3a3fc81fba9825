"""`anybind index` and `anybind search`: vectors of many files, kept, and those nearest to a query."""
