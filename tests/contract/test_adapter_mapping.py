"""`Intake`, on a fake and on Lambda's event source mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from hangtag.adapters.lambda_mapping import LambdaIntake
from hangtag.errors import MappingUnavailable
from hangtag.ports import Intake
from tests.contract.aws_parts import session
from tests.fakes import FakeIntake

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

MAPPING = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:UploadQueue"


def mapping(state: str, queue: str = QUEUE, uuid: str = MAPPING) -> dict[str, Any]:
    """As Lambda lists it."""
    return {"UUID": uuid, "State": state, "EventSourceArn": queue}


def intake(client: LambdaClient) -> LambdaIntake:
    """The adapter."""
    return LambdaIntake(
        lambda: client, function_name="TagUploads", queue_name="UploadQueue"
    )


def listing(stub: Stubber, *mappings: dict[str, Any]) -> None:
    """What Lambda answers next."""
    stub.add_response(
        "list_event_source_mappings",
        {"EventSourceMappings": list(mappings)},
        {"FunctionName": "TagUploads"},
    )


def switching(stub: Stubber, uuid: str, *, on: bool) -> None:
    """What Lambda is asked next."""
    stub.add_response("update_event_source_mapping", {}, {"UUID": uuid, "Enabled": on})


@pytest.fixture
def client() -> LambdaClient:
    """Never connected: a stub answers."""
    return session().client("lambda")


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        ("Enabled", True),
        ("Enabling", True),
        ("Creating", True),
        ("Updating", True),
        ("Disabled", False),
        ("Disabling", False),
    ],
)
def test_the_state_of_the_mapping_is_told(
    client: LambdaClient, state: str, *, runs: bool
) -> None:
    """Where it is going counts, not where it comes from."""
    with Stubber(client) as stub:
        listing(stub, mapping(state))

        assert intake(client).is_running() is runs


@pytest.mark.parametrize("on", [True, False])
def test_the_mapping_of_the_upload_queue_is_switched(
    client: LambdaClient, *, on: bool
) -> None:
    """Not another one that the function may have."""
    with Stubber(client) as stub:
        was = "Disabled" if on else "Enabled"
        listing(stub, mapping(was, QUEUE + "2", OTHER), mapping(was))
        switching(stub, MAPPING, on=on)

        intake(client).switch(on=on)

        stub.assert_no_pending_responses()


def test_what_is_so_already_is_left_alone(client: LambdaClient) -> None:
    """Lambda refuses changes while another one is under way."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabling"))

        intake(client).switch(on=False)

        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "code", ["ResourceInUseException", "ResourceConflictException"]
)
def test_while_another_change_is_under_way_it_says_when_to_try_again(
    client: LambdaClient, code: str
) -> None:
    """Who resumes right after a pause has to wait for the pause."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabling"))
        stub.add_client_error("update_event_source_mapping", code)

        with pytest.raises(MappingUnavailable) as raised:
            intake(client).switch(on=True)

    assert raised.value.retry_after_seconds == 5.0


@pytest.mark.parametrize("on", [True, False])
def test_what_is_being_changed_is_asked_about_again(
    client: LambdaClient, *, on: bool
) -> None:
    """It does not say which way it goes: a resume must not take a pause for a start."""
    with Stubber(client) as stub:
        listing(stub, mapping("Updating"))

        with pytest.raises(MappingUnavailable) as raised:
            intake(client).switch(on=on)

    assert raised.value.retry_after_seconds == 5.0


def test_a_refusal_does_not_ask_to_be_tried_again(client: LambdaClient) -> None:
    """Waiting does not give permission."""
    with Stubber(client) as stub:
        listing(stub, mapping("Disabled"))
        stub.add_client_error("update_event_source_mapping", "AccessDeniedException")

        with pytest.raises(MappingUnavailable) as raised:
            intake(client).switch(on=True)

    assert raised.value.retry_after_seconds is None


def test_a_stack_without_a_mapping_says_so(client: LambdaClient) -> None:
    """Somebody deleted it by hand."""
    with Stubber(client) as stub:
        listing(stub)

        with pytest.raises(MappingUnavailable, match="deploy the stack again"):
            intake(client).switch(on=True)


def test_the_client_is_not_made_before_it_is_needed() -> None:
    """A cold start has no use for it."""

    def make() -> LambdaClient:
        raise AssertionError("made")

    LambdaIntake(make, function_name="TagUploads", queue_name="UploadQueue")


def test_the_fake_is_a_switch() -> None:
    """As the adapter: what was switched is so."""
    fake: Intake = FakeIntake()

    fake.switch(on=False)
    off = fake.is_running()
    fake.switch(on=True)

    assert (off, fake.is_running()) == (False, True)
