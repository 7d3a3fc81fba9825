"""Published event data sets, by local folder."""
