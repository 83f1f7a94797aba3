"""What is said when AWS does not do it: one sentence, with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, not Python's
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from hangtag.errors import HangtagError

from .app import NotDone

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "UnauthorizedOperation",
}
_BAD_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)


@contextmanager
def aws_told() -> Iterator[None]:
    """
    Errors of botocore become sentences.

    Raises:
        NotDone: With the sentence.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise NotDone(sentence(error)) from error
    except (ResponseParserError, ParseError) as error:
        raise NotDone(
            f"What answers is not AWS ({error}): check --endpoint-url, and what stands in between"
        ) from error


def told(error: HangtagError) -> str:
    """The sentence for an error of the core: AWS's own reason, where that is one."""
    cause = error.__cause__
    if isinstance(cause, BotoCoreError | ClientError):
        return sentence(cause)
    return str(error)


def sentence(error: BotoCoreError | ClientError) -> str:
    """What to say about an error of botocore."""
    if isinstance(error, ClientError):
        return _of_refusal(error)
    match error:
        case ProfileNotFound():
            return f"{error}: correct AWS_PROFILE, or make it with `aws configure`"
        case NoRegionError():
            return (
                "No AWS region is known: give --region, or set AWS_DEFAULT_REGION, "
                "or run `aws configure`"
            )
        case InvalidRegionError():
            return f"{error}: correct --region or AWS_REGION"
        case _ if isinstance(error, _NO_CREDENTIALS):
            return (
                f"No AWS credentials ({error}): run `aws configure` or `aws sso login`, "
                "or set AWS_PROFILE"
            )
        case SSLError():
            return (
                f"AWS cannot be trusted ({error}): if it is an emulator or behind a proxy, "
                "set AWS_CA_BUNDLE to its certificate"
            )
        case ConnectionError() | HTTPClientError():
            return (
                f"AWS does not answer ({error}): check the network, --region and "
                "--endpoint-url"
            )
        case _:
            return f"AWS: {error}"


def _of_refusal(error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _BAD_CREDENTIALS:
        return (
            f"AWS does not accept these credentials ({error}): run `aws configure` or "
            "`aws sso login`, or set AWS_PROFILE"
        )
    if code in _DENIED:
        return (
            f"AWS does not allow it ({error}): use other credentials (AWS_PROFILE), or "
            f"have {error.operation_name} allowed for these"
        )
    return f"AWS refused: {error}"
