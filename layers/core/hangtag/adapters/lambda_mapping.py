"""The event source mapping between the upload queue and the function, in Lambda."""

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

_ENABLED = ("Enabled", "Enabling", "Creating", "Updating")

_UNKNOWN = "Updating"
"""Lambda does not say whether it is being enabled, disabled or changed otherwise."""

_CHANGING = ("ResourceInUseException", "ResourceConflictException")
"""Lambda's errors while another change of the mapping is under way."""

_RETRY_SECONDS = 5.0
"""A change takes up to a minute."""


class LambdaEventSourceMapping:
    """
    `EventSourceMapping` on Lambda.

    Looks the mapping up each time. Its id cannot be a setting of the function, because
    CloudFormation creates the mapping after the function.
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

    def is_enabled(self) -> bool:
        return self._mapping().get("State") in _ENABLED

    def switch(self, *, on: bool) -> None:
        found = self._mapping()
        doing = f"{'enabling' if on else 'disabling'} the event source mapping"
        if found.get("State") == _UNKNOWN:
            raise MappingUnavailable(
                f"{doing}: another change is under way",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if (found.get("State") in _ENABLED) == on:
            return
        with translated(MappingUnavailable, doing):
            try:
                self._client.update_event_source_mapping(UUID=found["UUID"], Enabled=on)
            except ClientError as error:
                if code_of(error) not in _CHANGING:
                    raise
                raise MappingUnavailable(
                    f"{doing}: another change is under way",
                    retry_after_seconds=_RETRY_SECONDS,
                ) from error

    @cached_property
    def _client(self) -> LambdaClient:
        """Made at the first use, because few instances need it."""
        return self._make_client()

    def _mapping(self) -> EventSourceMappingConfigurationTypeDef:
        with translated(MappingUnavailable, "looking up the event source mapping"):
            pages = self._client.get_paginator("list_event_source_mappings").paginate(
                FunctionName=self._function_name
            )
            for page in pages:
                for mapping in page["EventSourceMappings"]:
                    queue = mapping.get("EventSourceArn", "").rpartition(":")[2]
                    if queue == self._queue_name:
                        return mapping
        raise MappingUnavailable(
            f"no event source mapping leads from {self._queue_name} to "
            f"{self._function_name}; deploy the stack again"
        )
