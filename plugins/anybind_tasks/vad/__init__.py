"""Video anomaly detection: films to windows of events, and windows to how abnormal they are."""
