"""What several readers of the same text must agree on, as data."""
