"""Reports calls that AWS denies: the missing action, the resource, and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hangtag.text import shortened

from .permissions import actions_of

POLICY_FILE = "docs/operator-policy.json"

_KEY = "hangtag"
"""Of our notes in a request's context (`Needs`) and in an error's response (`Denial`)."""

_NAMED = re.compile(r"perform: ([\w-]+:\w+)(?: on resource: \"?([^\s\",]+))?")
_RESOURCE_PARAMETERS = (
    "QueueUrl",
    "TableName",
    "SecretId",
    "FunctionName",
    "UUID",
    "logGroupName",
    "StackName",
    "QueueName",
)
_ENCRYPTING = ("PutSecretValue", "SendMessage", "SendMessageBatch")

_Client = TypeVar("_Client")


@dataclass(slots=True)
class Denial:
    """A call that AWS denied."""

    action: str
    """The missing action, such as `sqs:SendMessage`."""
    resource: str
    """Its ARN, URL or name; empty if unknown."""
    message: str
    """AWS's message."""
    is_reported: bool = False
    """Whether a message to the user has named it."""

    def report(self) -> str:
        """A sentence with the missing action and the way out, for the user."""
        self.is_reported = True
        on = f" on {self.resource}" if self.resource else ""
        return (
            f"AWS denies {self.action}{on}: have an administrator allow it ({POLICY_FILE} has the "
            "policy of each command), or use other credentials (AWS_PROFILE). AWS's message: "
            f"{shortened(self.message, 500)}"
        )


class Denials:
    """The denied calls of one command, including calls that the command can do without."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Denial] = {}

    def watch_over(self, client: _Client) -> _Client:
        """*client*, a boto3 client whose denied calls are noted from now on."""
        events = client.meta.events  # type: ignore[attr-defined]  # every boto3 client has it
        events.register("before-parameter-build", _note_needs)
        events.register("after-call", self._note_denial)
        return client

    def unreported(self) -> Iterator[str]:
        """A sentence about each denied call that no message has named."""
        for denial in self._found.values():
            if not denial.is_reported:
                yield denial.report()

    def _note_denial(
        self,
        *,
        parsed: dict[str, Any],
        model: Any,  # noqa: ANN401 - botocore's
        context: Mapping[str, Any],
        **_: object,
    ) -> None:
        error = parsed.get("Error") or {}
        if _is_denied(error):
            denial = _denial_of(error, str(model.name), context[_KEY])
            noted = self._found.setdefault((denial.action, denial.resource), denial)
            error[_KEY] = noted


@dataclass(frozen=True, slots=True)
class Needs:
    """The permissions of a call."""

    actions: tuple[str, ...]
    """The main one first; see `permissions.actions_of`."""
    resource: str


def needs_of(context: Mapping[str, Any]) -> Needs | None:
    """The permissions of the call with this request context; None without `watch_over`."""
    needs: Needs | None = context.get(_KEY)
    return needs


def denial_in(response: Mapping[str, Any], operation: str) -> Denial | None:
    """The denial in an error's *response*; None if it is another error."""
    error = response.get("Error") or {}
    if not _is_denied(error):
        return None
    noted: Denial | None = error.get(_KEY)
    return noted or _denial_of(error, operation, Needs((operation,), ""))


def _note_needs(
    *,
    params: Mapping[str, Any],
    model: Any,  # noqa: ANN401 - botocore's
    context: dict[str, Any],
    **_: object,
) -> None:
    service = str(model.service_model.signing_name)
    context[_KEY] = Needs(
        actions_of(service, str(model.name), params), _resource_of(params)
    )


def _is_denied(error: Mapping[str, Any]) -> bool:
    from hangtag.adapters.aws_errors import DENIED

    return error.get("Code") in DENIED


def _resource_of(params: Mapping[str, Any]) -> str:
    if "Bucket" in params:
        return (
            f"s3://{params['Bucket']}/{params.get('Key') or params.get('Prefix', '')}"
        )
    tables = params.get("RequestItems", ())
    names = (params[name] for name in _RESOURCE_PARAMETERS if name in params)
    return str(next(names, next(iter(tables), "")))


def _denial_of(error: Mapping[str, Any], operation: str, needs: Needs) -> Denial:
    message = str(error.get("Message", ""))
    action, *others = needs.actions
    if named := _NAMED.search(message):
        # SQS writes actions in lower case, and may name a batch's operation instead of its action
        same = {action.lower(), f"{action.partition(':')[0]}:{operation}".lower()}
        action = action if named[1].lower() in same else named[1]
        return Denial(action, named[2] or needs.resource, message)
    # A URL or an ARN may contain "kms", too
    words = re.sub(r"\S*[:/]\S*", "", f"{error.get('Code')} {message}")
    if re.search(r"kms|customer master key", words, re.IGNORECASE):
        action = "GenerateDataKey" if operation in _ENCRYPTING else "Decrypt"
        return Denial(f"kms:{action}", "", message)
    action += "".join(f" (or {other}, if it is gone)" for other in others)
    return Denial(action, needs.resource, message)
