"""What hands uploads to the function: Lambda's event source mapping."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.failures import IntakeUnavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

_RUNNING = ("Enabled", "Enabling", "Creating", "Updating")


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
        if (found.get("State") in _RUNNING) == on:
            return
        doing = f"switching the event source mapping {'on' if on else 'off'}"
        with translated(IntakeUnavailable, doing):
            self._client.update_event_source_mapping(UUID=found["UUID"], Enabled=on)

    @cached_property
    def _client(self) -> LambdaClient:
        """Made when it is used first: seldom, and never while all is well."""
        return self._make_client()

    def _mapping(self) -> EventSourceMappingConfigurationTypeDef:
        with translated(IntakeUnavailable, "looking for the event source mapping"):
            pages = self._client.get_paginator("list_event_source_mappings").paginate(
                FunctionName=self._function_name
            )
            for page in pages:
                for mapping in page["EventSourceMappings"]:
                    queue = mapping.get("EventSourceArn", "").rpartition(":")[2]
                    if queue == self._queue_name:
                        return mapping
        raise IntakeUnavailable(
            f"nothing hands messages of {self._queue_name} to {self._function_name}; "
            "deploy the stack again"
        )
