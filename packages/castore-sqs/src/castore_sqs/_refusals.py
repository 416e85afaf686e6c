"""Why SQS did not do what an entry of a batch asks for."""

from collections.abc import Mapping
from typing import Any

from castore_aws import Refusal, is_retryable_code


def to_refusal(failed: Mapping[str, Any]) -> Refusal:
    """Return what SQS answered of an entry that failed."""
    code = failed.get("Code", "")
    is_retryable = not failed.get("SenderFault", True) or is_retryable_code(code)
    return Refusal(f"{code}: {failed.get('Message', '')}", is_retryable)
