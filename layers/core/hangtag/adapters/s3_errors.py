"""Converts S3's errors about an object into leaves of the error tree, by their cause."""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, status_of
from hangtag.errors import (
    HangtagError,
    ObjectArchived,
    ObjectForbidden,
    ObjectKmsKeyUnusable,
    ObjectUnavailable,
)

# KMS's throttling is not among them, because a retry helps
_UNUSABLE_KEY_CODES = {
    "KMS.DisabledException",
    "KMS.InvalidKeyUsageException",
    "KMS.KMSInvalidStateException",
    "KMS.NotFoundException",
}
_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


def object_error(doing: str, error: ClientError) -> HangtagError:
    """The leaf for an *error* of S3 about an object; *doing* says in its message what failed."""
    code = code_of(error)
    if code == "InvalidObjectState":
        return ObjectArchived(f"{doing}: {error}")
    if code in _UNUSABLE_KEY_CODES or _is_about_the_key(error):
        key = _KEY_ARN.search(str(error))
        # The key comes first, because long messages are cut
        named = f"KMS key {key[0]}, {doing}" if key else f"KMS key of {doing}"
        return ObjectKmsKeyUnusable(f"{named}: {error}")
    leaf = ObjectForbidden if status_of(error) == 403 else ObjectUnavailable
    return leaf(f"{doing}: {error}")


def _is_about_the_key(error: ClientError) -> bool:
    # S3 has one code for every missing permission: only the message names the action, or says that
    # the ciphertext's "customer master key" does not exist or is of another account
    message = str(error)
    return code_of(error) == "AccessDenied" and (
        "perform: kms:Decrypt" in message
        or "ciphertext refers to a customer master key" in message
    )
