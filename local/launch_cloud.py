"""
Starts MiniStack instead of the `ministack` command, in the local cloud's own Python.

It puts a gate in front of MiniStack, which admits only signed requests, and patches functions of
MiniStack that have no settings. docs/decisions/0004-local-cloud.md says what is enforced.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

# MiniStack is installed only in the environment in .local/cloud.
from ministack import app  # type: ignore[import-not-found]
from ministack.core import (  # type: ignore[import-not-found]
    iam_actions,
    iam_evaluator,
    lambda_runtime,
    sigv4,
)
from ministack.services import (  # type: ignore[import-not-found]
    lambda_svc,
    sts,
)
from ministack.services.cloudformation import (  # type: ignore[import-not-found]
    changesets,
    engine,
    handlers,
    stacks,
)

VERSION = "1.5.33"
"""The version of MiniStack whose functions these patches were written for."""

ROOT_KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]
DEPLOYER = "deployer"  # as in local/cloud.py
MOST_BODY_BYTES = 64 * 1024 * 1024
"""Size limit of a request's body: the layer and the largest images have less than half of it."""
PRESIGNED_SECONDS = 7 * 24 * 3600
ALGORITHM = "AWS4-HMAC-SHA256"
CREDENTIALS_IN_QUERY = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-signature",
        "x-amz-security-token",
        "awsaccesskeyid",
        "signature",
    }
)
"""Query parameters, in lower case, from which MiniStack may take the caller."""

ADMINISTRATION = ("/_ministack", "/_localstack", "/health")
OPEN_ADMINISTRATION = frozenset(
    {("GET", "/_ministack/ready"), ("GET", "/_ministack/sqs/messages")}
)
"""The administrative paths that `local/` uses. All others are off."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
Query = dict[str, list[str]]


class RefusedError(Exception):
    """The gate does not admit a request; the message gives the reason."""


class Gate:
    """
    An ASGI application that lets only signed requests of known keys through to another one.

    MiniStack answers many paths without a look at the caller, and takes well-known keys as root.
    """

    def __init__(self, inner: Application, hosts: frozenset[str]) -> None:
        """`hosts` are the values of the header Host, with port, under which it is reached."""
        self._inner = inner
        self._hosts = hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection's event; see ASGI."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = joined(scope["headers"])
        try:
            self._check_browser(scope["headers"], headers)
            body = await admitted(scope, headers, receive)
        except (RefusedError, ValueError) as error:
            await refuse(send, str(error), as_json="x-amz-target" in headers)
            return
        await self._inner(scope, replayed(body, receive), send)

    def _check_browser(
        self, lines: list[tuple[bytes, bytes]], headers: dict[str, str]
    ) -> None:
        """
        Check that no web page sent the request, and that each header has one meaning.

        Raises:
            RefusedError: It has another Host, as after DNS rebinding, or an Origin.
        """
        names = [name.lower() for name, _ in lines]
        if names.count(b"host") != 1 or names.count(b"authorization") > 1:
            raise RefusedError("a header is missing or there twice")
        if headers["host"] not in self._hosts:
            raise RefusedError("the Host is not that of the local cloud")
        if "origin" in headers:
            raise RefusedError("web pages have no access")


def joined(lines: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by their names in lower case; SigV4 joins repeated ones by a comma."""
    headers: dict[str, str] = {}
    for name, value in lines:
        key, text = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


async def admitted(scope: Message, headers: dict[str, str], receive: Receive) -> bytes:
    """
    Check the signature of a request, and return its body.

    Raises:
        RefusedError: It is not signed by a known key, or the key may not use its path.
        ValueError: The query or a header is malformed.
    """
    query = parse_qs(
        scope["query_string"].decode(), keep_blank_values=True, errors="strict"
    )
    signature, token, presigned = signature_of(scope["method"], headers, query)
    caller = iam_evaluator.resolve_credential(signature.access_key_id, None, token)
    if isinstance(caller, iam_evaluator.CredentialResolutionError):
        raise RefusedError("the key or its session token is not known")
    # MiniStack takes `test`, any twelve digits and no key at all as root, too
    if caller.principal_type == "Root" and caller.access_key_id != ROOT_KEY_ID:
        raise RefusedError("the key is not one that this cloud made")
    check_administration(scope["method"], scope["path"], caller)
    # Only now, so that it reads nothing from callers without a known key
    body = await read_body(receive)
    failure = sigv4.header_signature_failure(
        signature,
        caller.secret_access_key,
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        query,
        headers,
        body,
        presigned=presigned,
    )
    if failure:
        raise RefusedError("the signature does not match")
    return body


def signature_of(
    method: str,
    headers: dict[str, str],
    query: Query,
) -> tuple[Any, str, bool]:
    """
    Return the signature of a request, its session token, and whether it is a presigned URL.

    Only two forms are admitted: SigV4 in the header Authorization, and a presigned GET of S3.

    Raises:
        RefusedError: The request has no such signature, several, or one that has expired.
    """
    in_query = {name for name in query if name.lower() in CREDENTIALS_IN_QUERY}
    if "authorization" in headers:
        if in_query or not headers["authorization"].startswith(f"{ALGORITHM} "):
            raise RefusedError(f"the header Authorization is not {ALGORITHM} alone")
        signature = sigv4.parse_header_signature(headers)
        if isinstance(signature, tuple) or sigv4.request_time_failure(signature):
            raise RefusedError("the signature is incomplete or has expired")
        return signature, headers.get("x-amz-security-token", ""), False
    if not in_query:
        raise RefusedError("the request is not signed")
    if method != "GET" or any(len(query[name]) > 1 for name in in_query):
        raise RefusedError("a presigned URL is for one GET")
    signature = sigv4.parse_query_signature(query)
    if (
        query.get("X-Amz-Algorithm") != [ALGORITHM]
        or isinstance(signature, tuple)
        or signature.service != "s3"
    ):
        raise RefusedError("a presigned URL is for S3, with all its parameters")
    [lasting] = query.get("X-Amz-Expires", [""])
    if not 0 < int(lasting) <= PRESIGNED_SECONDS:
        raise RefusedError("the presigned URL lasts too long")
    if sigv4.presigned_request_is_expired(signature.amz_date, lasting):
        raise RefusedError("the presigned URL has expired")
    return signature, query.get("X-Amz-Security-Token", [""])[0], True


def check_administration(method: str, path: str, caller: Any) -> None:  # noqa: ANN401  # MiniStack's
    """
    Check that only the launcher's keys read MiniStack's own paths.

    Raises:
        RefusedError: The path is off, or it is not for this caller.
    """
    if not path.startswith(ADMINISTRATION):
        return
    if (method, path) not in OPEN_ADMINISTRATION:
        raise RefusedError("this administrative path is off")
    if caller.access_key_id != ROOT_KEY_ID and caller.principal_name != DEPLOYER:
        raise RefusedError("administrative paths are for the deployer")


async def read_body(receive: Receive) -> bytes:
    """
    Read the whole body of a request.

    Raises:
        RefusedError: It is longer than `MOST_BODY_BYTES`, or the client has gone.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError("the client has gone")
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            raise RefusedError("the body is too long")
        if not message.get("more_body", False):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields the body that was read, then further messages."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


async def refuse(send: Send, reason: str, *, as_json: bool) -> None:
    """Answer AccessDenied, in the format that the client of the service parses."""
    message = f"The local cloud refuses this request: {reason}."
    if as_json:
        kind, text = "json", json.dumps({"__type": "AccessDenied", "message": message})
    else:
        kind = "xml"
        text = (
            "<ErrorResponse><Error><Code>AccessDenied</Code>"
            f"<Message>{message}</Message></Error></ErrorResponse>"
        )
    headers = [
        (b"content-type", f"application/{kind}".encode()),
        (b"x-amzn-errortype", b"AccessDenied"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def session_credentials(config: dict[str, Any]) -> dict[str, str]:
    """
    Return a session of a function's role, derived from a random secret of this process.

    MiniStack derives it from the names of the function and the role, which anybody can guess. It
    needs the same session for the same function again.
    """
    account, _ = lambda_runtime._account_region_from_function_config(config)  # noqa: SLF001
    role = config.get("Role", "")
    name = role.rpartition("/")[2]
    session = config.get("FunctionName", "function")[:64]

    def secret(kind: str) -> str:
        text = f"{kind}:{config['FunctionArn']}:{role}"
        return hmac.new(SESSIONS, text.encode(), hashlib.sha256).hexdigest()

    key = "ASIA" + secret("key")[:16].upper()
    secret_key, token = secret("s"), secret("t")
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "UserId": f"{name}:{session}",
            "SecretAccessKey": secret_key,
            "SessionToken": token,
        },
    )
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_SESSION_TOKEN": token,
    }


SESSIONS = secrets.token_bytes(32)
PARTITION_KEY = "uri"  # of the stack's table


def no_port_443(*_: object) -> bool:
    """
    Return False, so that MiniStack does not also listen on port 443, as it does with TLS.

    The stack does not need that port, and a second cloud or a web server may use it.
    """
    return False


def concurrency_as_a_number(mapping: dict[str, Any], *others: object) -> int:
    """
    Return how many batches of an event source mapping may be in flight.

    MiniStack compares this with numbers, but the value of a CloudFormation parameter is a text.
    """
    scaling = mapping.get("ScalingConfig") or {}
    if "MaximumConcurrency" in scaling:
        scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
    concurrency: int = concurrency_of_mapping(mapping, *others)
    return concurrency


def action_with_updates_of_mappings(method: str, path: str) -> str | None:
    """
    Return the IAM action of a request to Lambda.

    MiniStack has none for an update of an event source mapping, and so allows it to everyone.
    """
    if method == "PUT" and "event-source-mappings" in path.split("/"):
        return "UpdateEventSourceMapping"
    action: str | None = action_of_lambda(method, path)
    return action


def pattern_over_lines(pattern: str, ignore_case: bool) -> re.Pattern[str]:  # noqa: FBT001  # MiniStack's
    """Return the expression for a pattern of IAM, whose `*` also stands for line breaks."""
    one_line: re.Pattern[str] = pattern_of_iam(pattern, ignore_case)
    return re.compile(one_line.pattern, one_line.flags | re.DOTALL)


def context_with_partition_keys(body: bytes) -> dict[str, Any]:
    """
    Return the condition keys of a request to DynamoDB.

    MiniStack lacks `dynamodb:LeadingKeys`, and so allows each request that a policy limits to some
    items. Queries still have none.
    """
    context: dict[str, Any] = context_of_dynamodb(body)
    request = json.loads(body or b"{}")
    items = [request.get("Key"), request.get("Item")]
    for table in (request.get("RequestItems") or {}).values():
        items += table.get("Keys", []) if isinstance(table, dict) else []
    keys = [item[PARTITION_KEY]["S"] for item in items if PARTITION_KEY in (item or {})]
    return {**context, "dynamodb:LeadingKeys": keys} if keys else context


def conditions_with_joins(
    template: dict[str, Any], parameters: dict[str, Any]
) -> dict[str, bool]:
    """
    Return the values of a template's conditions.

    MiniStack knows neither `Fn::Join` nor `Fn::Split` in them, and takes both for unequal to all.
    """
    joined_parts = with_joins(template.get("Conditions", {}), parameters)
    conditions: dict[str, bool] = conditions_of_template(
        {**template, "Conditions": joined_parts}, parameters
    )
    return conditions


def with_joins(value: object, parameters: dict[str, Any]) -> Any:  # noqa: ANN401  # as in the template
    """Return the value with a text in place of each parameter that is split and joined again."""
    match value:
        case {
            "Fn::Join": [
                str(between),
                {"Fn::Split": [str(delimiter), {"Ref": str(name)}]},
            ]
        }:
            return between.join(str(parameters[name]["Value"]).split(delimiter))
        case dict():
            return {name: with_joins(part, parameters) for name, part in value.items()}
        case list():
            return [with_joins(part, parameters) for part in value]
        case _:
            return value


def replace(module: Any, name: str, new: object) -> Any:  # noqa: ANN401  # MiniStack's functions
    """
    Replace an attribute of a module of MiniStack, and return the old one.

    It exits if the attribute is missing, because MiniStack would start without the patch.
    """
    old = getattr(module, name, None)
    if old is None:
        sys.exit(
            f"the local cloud cannot start: {module.__name__} of MiniStack has no {name}; "
            "review local/launch_cloud.py"
        )
    setattr(module, name, new)
    return old


def hosts() -> frozenset[str]:
    """Return the values of Host of this cloud, and of the proxy in front of it if there is one."""
    own = f"127.0.0.1:{os.environ['GATEWAY_PORT']}"
    proxy = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).netloc
    return frozenset({own, proxy} - {""})


if version("ministack") != VERSION:
    sys.exit(
        f"the local cloud cannot start: it needs MiniStack {VERSION}, not "
        f"{version('ministack')}; review local/launch_cloud.py"
    )
concurrency_of_mapping = replace(
    lambda_svc, "_sqs_esm_concurrency", concurrency_as_a_number
)
action_of_lambda = replace(
    iam_actions, "_lambda_action", action_with_updates_of_mappings
)
context_of_dynamodb = replace(
    iam_actions, "dynamodb_service_context", context_with_partition_keys
)
conditions_of_template = engine._evaluate_conditions  # noqa: SLF001
for module in (changesets, engine, handlers, stacks):
    replace(module, "_evaluate_conditions", conditions_with_joins)
pattern_of_iam = replace(iam_evaluator, "_fnmatch_compile", pattern_over_lines)
replace(app, "_port_is_bindable", no_port_443)
replace(lambda_runtime, "execution_credentials", session_credentials)
replace(lambda_svc, "execution_credentials", session_credentials)
replace(app, "app", Gate(app.app, hosts()))
app.main()
