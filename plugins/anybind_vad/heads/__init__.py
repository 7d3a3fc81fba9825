"""Anomaly heads: scores of windows."""
