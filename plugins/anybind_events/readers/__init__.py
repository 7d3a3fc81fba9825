"""Readers of event file formats, one module each."""
