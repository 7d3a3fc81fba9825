"""Filters of event streams, one module each; `anybind_events.filter` declares their kind."""
