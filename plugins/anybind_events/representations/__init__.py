"""Event streams to image-like arrays, one module a representation."""
