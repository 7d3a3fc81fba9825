"""Data sets of films whose abnormal frames are known, by their own annotation files."""
