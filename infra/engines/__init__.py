"""Engines that enforce what DynamoDB and S3 enforce: MiniStack and SeaweedFS.

Moto lets pass what the real services refuse. These two are put in its place by
`AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_S3` alone; everything else stays with moto.
"""

from infra.engines.choice import chosen, real_engines
from infra.engines.engine import Engine, EngineError, Engines
from infra.engines.ministack import ministack
from infra.engines.seaweedfs import seaweedfs

__all__ = ["Engine", "EngineError", "Engines", "chosen", "ministack", "real_engines", "seaweedfs"]
