"""Data sets of pictures, sounds and words, each in a local folder as it was published."""
