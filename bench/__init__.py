"""Measures the function as Lambda runs it, against floors that nothing can go below."""
