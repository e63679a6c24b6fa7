"""Moto inside of this process, with the emulated cloud's gaps closed: for functional tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from moto import mock_aws

from infra.emulator import exclusive
from infra.emulator.account import ISOLATED, REGION
from infra.emulator.gaps import close_gaps
from infra.emulator.patches import Patches
from infra.engines.engine import Engines
from infra.engines.mirror import Mirror
from infra.engines.seaweedfs import ACCESS_KEY, SECRET_KEY


@contextmanager
def emulated_aws(engines: Engines | None = None) -> Iterator[None]:
    """Let every boto3 client of this process talk to an empty account; functions do not run.

    Args:
        engines: running engines for DynamoDB and S3 in moto's place.
    """
    with exclusive.claim("in-process moto"):
        patches = Patches()
        endpoints = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]
        own = _of_engines(engines) if engines else {}
        names = (*ISOLATED, "AWS_PROFILE", *endpoints, *own)
        before = {name: os.environ.get(name) for name in names}
        for name in ("AWS_PROFILE", *endpoints):
            os.environ.pop(name, None)
        os.environ.update(ISOLATED | own)
        try:
            close_gaps(patches)
            if engines:
                Mirror(engines, REGION).install(patches)
            # Engines look at credentials, so they must not be moto's own.
            with mock_aws(config={"core": {"mock_credentials": not engines}}):
                yield
        finally:
            patches.undo()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _of_engines(engines: Engines) -> dict[str, str]:
    return {
        **engines.environ,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
