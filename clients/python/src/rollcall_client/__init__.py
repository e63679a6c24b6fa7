"""What the host agent and the operator's command line have in common.

Both packages carry this one inside (``package-dir`` in their ``pyproject.toml``), so that either is
installed by one command.
"""
