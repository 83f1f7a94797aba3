"""What hands uploads to the function: Lambda's event source mapping."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.errors import MappingUnavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

_RUNNING = ("Enabled", "Enabling", "Creating", "Updating")

_EITHER_WAY = "Updating"
"""Whether it is being switched on, off or only changed, it does not say."""

_CHANGING = ("ResourceInUseException", "ResourceConflictException")
"""What Lambda answers while another change of the mapping is under way."""

_CHANGES_SECONDS = 5.0
"""Until it is worth asking again; a change takes up to a minute."""


class LambdaIntake:
    """
    `Intake` on the event source mapping between the upload queue and the function.

    It is looked up when it is needed: the function's role cannot name what is made after it.
    """

    def __init__(
        self,
        make_client: Callable[[], LambdaClient],
        *,
        function_name: str,
        queue_name: str,
    ) -> None:
        self._make_client = make_client
        self._function_name = function_name
        self._queue_name = queue_name

    def is_running(self) -> bool:
        return self._mapping().get("State") in _RUNNING

    def switch(self, *, on: bool) -> None:
        found = self._mapping()
        doing = f"switching the event source mapping {'on' if on else 'off'}"
        if found.get("State") == _EITHER_WAY:
            raise MappingUnavailable(
                f"{doing}: it is being changed", retry_after_seconds=_CHANGES_SECONDS
            )
        if (found.get("State") in _RUNNING) == on:
            return
        with translated(MappingUnavailable, doing):
            try:
                self._client.update_event_source_mapping(UUID=found["UUID"], Enabled=on)
            except ClientError as error:
                if code_of(error) not in _CHANGING:
                    raise
                raise MappingUnavailable(
                    f"{doing}: another change is under way",
                    retry_after_seconds=_CHANGES_SECONDS,
                ) from error

    @cached_property
    def _client(self) -> LambdaClient:
        """Made when it is used first: seldom, and never while all is well."""
        return self._make_client()

    def _mapping(self) -> EventSourceMappingConfigurationTypeDef:
        with translated(MappingUnavailable, "looking for the event source mapping"):
            pages = self._client.get_paginator("list_event_source_mappings").paginate(
                FunctionName=self._function_name
            )
            for page in pages:
                for mapping in page["EventSourceMappings"]:
                    queue = mapping.get("EventSourceArn", "").rpartition(":")[2]
                    if queue == self._queue_name:
                        return mapping
        raise MappingUnavailable(
            f"nothing hands messages of {self._queue_name} to {self._function_name}; "
            "deploy the stack again"
        )
