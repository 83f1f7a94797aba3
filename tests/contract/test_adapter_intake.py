"""`Intake`, on a fake and on Lambda's event source mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from hangtag.adapters.lambda_intake import LambdaIntake
from hangtag.failures import IntakeUnavailable
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


def test_a_stack_without_a_mapping_says_so(client: LambdaClient) -> None:
    """Somebody deleted it by hand."""
    with Stubber(client) as stub:
        listing(stub)

        with pytest.raises(IntakeUnavailable, match="deploy the stack again"):
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
