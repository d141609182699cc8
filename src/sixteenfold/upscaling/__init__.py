"""From a small picture to one sixteen times as large a side."""
