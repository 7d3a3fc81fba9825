"""Representations: event streams to image-like arrays, one module each."""
