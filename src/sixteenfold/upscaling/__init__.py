"""From a small picture to one sixteen times larger per side."""
