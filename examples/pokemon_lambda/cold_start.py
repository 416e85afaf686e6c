"""Measures a cold start: the first event of a fresh process, against a server on this machine."""

import asyncio
import os
import subprocess
import sys
from statistics import median
from uuid import uuid4

import boto3

from castore_dynamodb import create_table, table_definition

ROUNDS = 7
SERVER = {
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:4611",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}

PROGRAM = """
from time import perf_counter
began = perf_counter()
import boto3
imported_boto3 = perf_counter()
boto3.client("dynamodb")
made_client = perf_counter()
import castore_dynamodb
imported_castore = perf_counter()
import pokemon_lambda.api as api
initialised = perf_counter()
api.wild_pokemon_appears({"name": "Pikachu", "level": 5}, None)
first = perf_counter()
api.wild_pokemon_appears({"name": "Pikachu", "level": 5}, None)
second = perf_counter()
print(imported_boto3 - began, made_client - imported_boto3, imported_castore - made_client,
      first - initialised, second - first)
"""
STEPS = ("import boto3", "a client", "import castore", "the first push", "the second push")


def measure() -> list[float]:
    """Return the seconds of each step, in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    return [float(each) for each in done.stdout.split()]


def main() -> None:
    """Print the medians of several processes, of which the first only warms up."""
    os.environ.update(SERVER, EVENTS_TABLE=f"events-{uuid4()}")
    definition = table_definition(os.environ["EVENTS_TABLE"])
    asyncio.run(create_table(boto3.client("dynamodb"), definition))
    rounds = [measure() for _ in range(ROUNDS + 1)][1:]
    for step, seconds in zip(STEPS, zip(*rounds, strict=True), strict=True):
        print(f"{step:16} {median(seconds) * 1000:6.0f} ms")


if __name__ == "__main__":
    main()
