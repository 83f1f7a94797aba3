"""S3's refusals to read an object, by cause."""

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

# Not all codes of KMS: throttling is S3's to handle, and a retry's
_UNUSABLE_KEY_CODES = {
    "KMS.DisabledException",
    "KMS.InvalidKeyUsageException",
    "KMS.KMSInvalidStateException",
    "KMS.NotFoundException",
}
_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


def object_error(doing: str, error: ClientError) -> HangtagError:
    """The leaf for an *error* of S3 about an object; its message begins with *doing*."""
    code = code_of(error)
    if code == "InvalidObjectState":
        return ObjectArchived(f"{doing}: {error}")
    if code in _UNUSABLE_KEY_CODES or _names_decrypt(error):
        key = _KEY_ARN.search(str(error))
        # The key comes first, because the message may be cut
        named = f"KMS key {key[0]}, {doing}" if key else f"KMS key of {doing}"
        return ObjectKmsKeyUnusable(f"{named}: {error}")
    leaf = ObjectForbidden if status_of(error) == 403 else ObjectUnavailable
    return leaf(f"{doing}: {error}")


def _names_decrypt(error: ClientError) -> bool:
    # S3 has one code for every missing permission; only the message has the name of the action.
    return code_of(error) == "AccessDenied" and "kms:Decrypt" in str(error)
