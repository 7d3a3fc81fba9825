"""Live sources of events, and the windows of what they send."""
