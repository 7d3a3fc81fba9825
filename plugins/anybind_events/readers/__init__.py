"""File formats of event recordings, one module a format."""
