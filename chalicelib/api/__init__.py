"""The HTTP side: a view parses, authenticates, calls one flow and answers."""
