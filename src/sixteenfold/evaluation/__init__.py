"""Results against originals: metrics, comparisons, reports."""
