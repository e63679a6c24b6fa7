"""What a deployer's commands fail with."""


class DeployError(Exception):
    """A deployment cannot go on; the message tells a person why, and what to do next."""
