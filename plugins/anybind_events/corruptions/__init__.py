"""Corruptions of event streams, to measure how robust an encoder is: see `anybind_events.corrupt_events`."""
