"""The least that could do the same work: what each ratio is taken against."""
