"""Moto inside of this process, with the emulated cloud's gaps closed: for functional tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from moto import mock_aws

from infra.emulator import exclusive
from infra.emulator.gaps import close_gaps
from infra.emulator.patches import Patches

REGION = "eu-central-1"
_ENVIRON = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextmanager
def emulated_aws() -> Iterator[None]:
    """Let every boto3 client of this process talk to an empty account; functions do not run."""
    with exclusive.claim("in-process moto"):
        patches = Patches()
        endpoints = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]
        before = {name: os.environ.get(name) for name in (*_ENVIRON, "AWS_PROFILE", *endpoints)}
        for name in ("AWS_PROFILE", *endpoints):
            os.environ.pop(name, None)
        os.environ.update(_ENVIRON)
        try:
            close_gaps(patches)
            with mock_aws():
                yield
        finally:
            patches.undo()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
