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
    """As Lambda lists it."""
    return {"UUID": uuid, "State": state, "EventSourceArn": queue}


def adapter(client: LambdaClient) -> LambdaEventSourceMapping:
    """The adapter."""
    return LambdaEventSourceMapping(
        lambda: client, function_name="TagUploads", queue_name="UploadQueue"
    )


def listing(stub: Stubber, *mappings: dict[str, Any]) -> None:
    """Lambda's next response."""
    stub.add_response(
        "list_event_source_mappings",
        {"EventSourceMappings": list(mappings)},
        {"FunctionName": "TagUploads"},
    )


def switching(stub: Stubber, uuid: str, *, on: bool) -> None:
    """The next request to Lambda."""
    stub.add_response("update_event_source_mapping", {}, {"UUID": uuid, "Enabled": on})


@pytest.fixture
def client() -> LambdaClient:
    """Never connected: a stub answers."""
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
def test_a_mapping_is_enabled_or_will_be(
    client: LambdaClient, state: str, *, is_enabled: bool
) -> None:
    """The state that it goes to counts, not the one it comes from."""
    with Stubber(client) as stub:
        listing(stub, mapping(state))

        assert adapter(client).is_enabled() is is_enabled


@pytest.mark.parametrize("on", [True, False])
def test_the_mapping_of_the_upload_queue_is_switched(
    client: LambdaClient, *, on: bool
) -> None:
    """Not another one that the function may have."""
    with Stubber(client) as stub:
        was = "Disabled" if on else "Enabled"
        listing(stub, mapping(was, QUEUE + "2", OTHER), mapping(was))
        switching(stub, MAPPING, on=on)

        adapter(client).switch(on=on)

        stub.assert_no_pending_responses()


def test_a_mapping_in_that_state_is_left_alone(client: LambdaClient) -> None:
    """Lambda refuses changes while another one is under way."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabling"))

        adapter(client).switch(on=False)

        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "code", ["ResourceInUseException", "ResourceConflictException"]
)
def test_while_another_change_is_under_way_the_error_says_when_to_try_again(
    client: LambdaClient, code: str
) -> None:
    """As when an operator resumes right after a pause."""
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
    """Lambda does not say whether it will be enabled; the caller asks again."""
    with Stubber(client) as stub:
        listing(stub, mapping("Updating"))

        with pytest.raises(MappingUnavailable) as raised:
            adapter(client).switch(on=on)

    assert raised.value.retry_after_seconds == 5.0


def test_a_refusal_does_not_ask_to_be_tried_again(client: LambdaClient) -> None:
    """Waiting does not give permission."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabled"))
        stub.add_client_error("update_event_source_mapping", "AccessDeniedException")

        with pytest.raises(MappingUnavailable) as raised:
            adapter(client).switch(on=True)

    assert raised.value.retry_after_seconds is None


def test_a_stack_without_a_mapping_says_so(client: LambdaClient) -> None:
    """Somebody deleted it by hand."""
    with Stubber(client) as stub:
        listing(stub)

        with pytest.raises(MappingUnavailable, match="deploy the stack again"):
            adapter(client).switch(on=True)


def test_the_client_is_not_made_before_it_is_needed() -> None:
    """A cold start has no use for it."""

    def make() -> LambdaClient:
        raise AssertionError("made")

    LambdaEventSourceMapping(make, function_name="TagUploads", queue_name="UploadQueue")


def test_the_fake_is_a_switch() -> None:
    """It stays as it was switched."""
    fake: EventSourceMapping = FakeMapping()

    fake.switch(on=False)
    off = fake.is_enabled()
    fake.switch(on=True)

    assert (off, fake.is_enabled()) == (False, True)
