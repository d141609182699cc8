"""From photographs to weights."""
