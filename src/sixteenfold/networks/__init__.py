"""The networks and their weights; no files of images."""
