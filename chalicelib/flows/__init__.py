"""Use cases: plain functions that know nothing of HTTP, Chalice, boto3 or the environment."""
