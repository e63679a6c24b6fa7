"""The operator's command line of Rollcall."""

__version__ = "0.1.0"
