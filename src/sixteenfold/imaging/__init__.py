"""Pixels and files; no networks."""
