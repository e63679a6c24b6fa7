"""The emulated account, and what keeps the developer's own out of a process."""

import os

REGION = "eu-central-1"
ACCOUNT = "123456789012"
"""Moto's own."""
ISOLATED = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
