"""Uploads that arrive while a deployment changes the function in several calls."""

from __future__ import annotations

from local.watch import WatchedStack
from tests.stack.helpers import calls_about, configured, picture, records_of


def test_an_upload_waits_while_code_and_environment_do_not_match(
    stack: WatchedStack,
) -> None:
    """The log names the variable; afterwards the upload has one call and one attempt."""
    content = picture("deployment")
    uri = stack.uri("deployment.png")

    def named() -> bool | None:
        log = stack.function_log(events=1_000)
        return True if "HANGTAG_RESULTS_TOPIC_ARN is missing" in log else None

    with configured(stack, HANGTAG_RESULTS_TOPIC_ARN=None):
        stack.upload("deployment.png", content)
        stack.wait_for(named, "the error that names the variable")
        assert records_of(stack, "deployment.png") == []
        assert stack.dead_letters(uri) == []

    stack.wait_for_announcement("deployment.png")
    assert stack.wait_for_result(uri)["status"] == "TAGGED"
    [record] = records_of(stack, "deployment.png")
    assert record["attempts"] == {"N": "1"}
    assert len(calls_about(stack, content)) == 1


def test_an_environment_of_the_next_version_changes_nothing(
    stack: WatchedStack,
) -> None:
    """The function ignores variables that it does not know."""
    content = picture("next version")

    with configured(stack, HANGTAG_OF_THE_NEXT_VERSION="x"):
        stack.upload("next-version.png", content)
        stack.wait_for_announcement("next-version.png")

    assert len(calls_about(stack, content)) == 1
