"""Errors of AWS as one sentence each, with the way out."""

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

from .denials import denial_in
from .exits import NotDone

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
def explained() -> Iterator[None]:
    """
    Turn errors of botocore into sentences.

    Raises:
        NotDone: AWS refused or failed; its message is the sentence.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise NotDone(explain_aws(error)) from error
    except (ResponseParserError, ParseError) as error:
        raise NotDone(
            f"The answer is not from AWS ({error}): check --endpoint-url and any proxy"
        ) from error


def explain(error: HangtagError) -> str:
    """A sentence about an error of the core, or about the AWS error that caused it."""
    cause = error.__cause__
    if isinstance(cause, BotoCoreError | ClientError):
        return explain_aws(cause)
    return str(error)


def explain_aws(error: BotoCoreError | ClientError) -> str:
    """A sentence about an error of botocore."""
    if isinstance(error, ClientError):
        return _explain_refusal(error)
    match error:
        case ProfileNotFound():
            return f"{error}: correct AWS_PROFILE, or create the profile with `aws configure`"
        case NoRegionError():
            return (
                "No AWS region is set: give --region, set AWS_DEFAULT_REGION, "
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
                f"The certificate of AWS is not trusted ({error}): for an emulator or a proxy, "
                "set AWS_CA_BUNDLE to its certificate"
            )
        case ConnectionError() | HTTPClientError():
            return (
                f"AWS does not respond ({error}): check the network, --region and "
                "--endpoint-url"
            )
        case _:
            return f"AWS: {error}"


def _explain_refusal(error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _BAD_CREDENTIALS:
        return (
            f"AWS rejects these credentials ({error}): run `aws configure` or "
            "`aws sso login`, or set AWS_PROFILE"
        )
    denial = denial_in(error.response, error.operation_name)
    if denial is not None:
        return denial.report()
    return f"AWS refused: {error}"
