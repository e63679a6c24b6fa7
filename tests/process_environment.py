"""The environment of this process, for as long as it runs the app against one stage."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from chalicelib import runtime, settings
from chalicelib.store.connection import connection
from chalicelib.store.table import Table


@contextmanager
def surrounded_by(environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process be one that runs the app with these variables and no others of AWS's.

    What it kept of a stage before is forgotten, and so is this one at the end: stages follow one
    another in one process, and their tables, secrets and endpoints have other names.
    """
    own = [name for name in os.environ if name.startswith(("AWS_", "ROLLCALL_"))]
    before = {name: os.environ.pop(name) for name in own}
    wanted = {name: value for name, value in environ.items() if name != "PATH"}
    others = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    _forget()
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        os.environ.update(others | before)
        _forget()


def _forget() -> None:
    runtime.use(None)
    settings.load.cache_clear()
    connection.cache_clear()
    for model in _models(Table):
        model._connection = None


def _models(parent: type[Table]) -> Iterator[type[Table]]:
    for model in parent.__subclasses__():
        yield model
        yield from _models(model)
