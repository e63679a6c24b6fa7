"""The host agent of Rollcall."""

__version__ = "0.1.0"
