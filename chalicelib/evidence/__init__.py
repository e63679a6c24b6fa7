"""Evidence: what happened, to what, by whom; written with the change and published from there."""
