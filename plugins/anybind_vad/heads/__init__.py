"""The heads: windows to how abnormal each is."""
