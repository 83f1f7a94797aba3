"""`EventSourceMapping`: in memory and in Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from hangtag.adapters.lambda_mapping import LambdaEventSourceMapping
from hangtag.breaker import EventSourceMapping
from hangtag.errors import MappingUnavailable
from tests.contract.aws_parts import session
from tests.fakes import FakeMapping

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

MAPPING = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:UploadQueue"


def mapping(state: str, queue: str = QUEUE, uuid: str = MAPPING) -> dict[str, Any]:
    """The mapping as Lambda lists it."""
    return {"UUID": uuid, "State": state, "EventSourceArn": queue}


def adapter(client: LambdaClient) -> LambdaEventSourceMapping:
    """The adapter."""
    return LambdaEventSourceMapping(
        lambda: client, function_name="TagUploads", queue_name="UploadQueue"
    )


def listing(stub: Stubber, *mappings: dict[str, Any]) -> None:
    """Prepares Lambda's next listing."""
    stub.add_response(
        "list_event_source_mappings",
        {"EventSourceMappings": list(mappings)},
        {"FunctionName": "TagUploads"},
    )


def switching(stub: Stubber, uuid: str, *, on: bool) -> None:
    """Prepares the next change of the mapping."""
    stub.add_response("update_event_source_mapping", {}, {"UUID": uuid, "Enabled": on})


@pytest.fixture
def client() -> LambdaClient:
    """A client that never connects: a stub answers."""
    return session().client("lambda")


@pytest.mark.parametrize(
    ("state", "is_enabled"),
    [
        ("Enabled", True),
        ("Enabling", True),
        ("Creating", True),
        ("Updating", True),
        ("Disabled", False),
        ("Disabling", False),
    ],
)
def test_a_mapping_counts_as_enabled_by_its_target_state(
    client: LambdaClient, state: str, *, is_enabled: bool
) -> None:
    """While the mapping changes, the state that it will have counts."""
    with Stubber(client) as stub:
        listing(stub, mapping(state))

        assert adapter(client).is_enabled() is is_enabled


@pytest.mark.parametrize("on", [True, False])
def test_the_mapping_of_the_upload_queue_is_switched(
    client: LambdaClient, *, on: bool
) -> None:
    """The function may have other mappings."""
    with Stubber(client) as stub:
        was = "Disabled" if on else "Enabled"
        listing(stub, mapping(was, QUEUE + "2", OTHER), mapping(was))
        switching(stub, MAPPING, on=on)

        adapter(client).switch(on=on)

        stub.assert_no_pending_responses()


def test_a_mapping_in_the_requested_state_is_left_unchanged(
    client: LambdaClient,
) -> None:
    """Lambda refuses changes during another change."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabling"))

        adapter(client).switch(on=False)

        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "code", ["ResourceInUseException", "ResourceConflictException"]
)
def test_during_another_change_the_error_has_a_retry_delay(
    client: LambdaClient, code: str
) -> None:
    """This happens when an operator resumes right after a pause."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabling"))
        stub.add_client_error("update_event_source_mapping", code)

        with pytest.raises(MappingUnavailable) as raised:
            adapter(client).switch(on=True)

    assert raised.value.retry_after_seconds == 5.0


@pytest.mark.parametrize("on", [True, False])
def test_a_mapping_that_is_being_updated_is_not_switched(
    client: LambdaClient, *, on: bool
) -> None:
    """Lambda does not say whether it will be enabled, so the caller retries."""
    with Stubber(client) as stub:
        listing(stub, mapping("Updating"))

        with pytest.raises(MappingUnavailable) as raised:
            adapter(client).switch(on=on)

    assert raised.value.retry_after_seconds == 5.0


def test_a_denied_request_has_no_retry_delay(client: LambdaClient) -> None:
    """Waiting gives no permission."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabled"))
        stub.add_client_error("update_event_source_mapping", "AccessDeniedException")

        with pytest.raises(MappingUnavailable) as raised:
            adapter(client).switch(on=True)

    assert raised.value.retry_after_seconds is None


def test_a_missing_mapping_is_reported(client: LambdaClient) -> None:
    """It was deleted by hand."""
    with Stubber(client) as stub:
        listing(stub)

        with pytest.raises(MappingUnavailable, match="deploy the stack again"):
            adapter(client).switch(on=True)


def test_the_client_is_created_on_first_use() -> None:
    """A cold start does not need it."""

    def make() -> LambdaClient:
        raise AssertionError("made")

    LambdaEventSourceMapping(make, function_name="TagUploads", queue_name="UploadQueue")


def test_the_fake_keeps_the_state_it_was_switched_to() -> None:
    """It has no delay."""
    fake: EventSourceMapping = FakeMapping()

    fake.switch(on=False)
    off = fake.is_enabled()
    fake.switch(on=True)

    assert (off, fake.is_enabled()) == (False, True)
