"""Every upload ends with a result and an announcement, a dead letter, or a skip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from local.watch import WatchedStack
from tests.stack.helpers import (
    calls_about,
    configured,
    notification,
    picture,
    records_of,
    result_of,
    sha256,
    wait_until_idle,
)


def test_an_upload_is_tagged_stored_and_announced_with_one_call(
    stack: WatchedStack,
) -> None:
    """One image causes one call, one result, one record and one announcement."""
    content = picture("main job")

    version = stack.upload("main-job.png", content, {"tagger-id": "A-1"})

    announcement = stack.wait_for_announcement("main-job.png")
    result = stack.wait_for_result(stack.uri("main-job.png"))
    assert result["status"] == "TAGGED"
    assert result["image"] == {
        "uri": stack.uri("main-job.png"),
        "bucket": stack.outputs["UploadsBucketName"],
        "key": "main-job.png",
        "versionId": version,
        "etag": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "size": len(content),
        "sequencer": result["image"]["sequencer"],
    }
    assert result["context"] == {"id": "A-1"}
    assert result["objects"][0]["tags"][0]["category"]["name"]
    assert announcement.document["data"] == result
    assert announcement.document["type"] == "hangtag.image.tagged.v1"
    assert announcement.document["subject"] == "main-job.png"
    assert announcement.attributes["productId"] == "A-1"
    assert len(records_of(stack, "main-job.png")) == 1
    assert len(calls_about(stack, content)) == 1


def test_digits_are_stored_as_the_api_sent_them(stack: WatchedStack) -> None:
    """No float rounds them: the table and the announcement have the same digits."""
    stack.upload("digits.png", picture("digits"))

    announcement = stack.wait_for_announcement("digits.png")
    item = result_of(stack, "digits.png")
    stored = item["result"]["M"]["objects"]["L"][0]["M"]["tags"]["L"][0]["M"]
    announced = json.loads(json.dumps(announcement.document), parse_float=Decimal)
    tag = announced["data"]["objects"][0]["tags"][0]
    assert Decimal(stored["position"]["M"]["x"]["N"]) == tag["position"]["x"]
    assert Decimal(stored["item"]["M"]["confidence"]["N"]) == tag["item"]["confidence"]


@pytest.mark.parametrize(
    "key",
    [
        "spring 2026/red + blue (50%).png",
        "봄/원피스 1.jpg",
        "a%20b+c.png",
        "what?is#this&that=1.png",
        "k" * 1014 + "한글.png",
        "two\r\nlines \x1b[31m\u202e.png",
    ],
    ids=["spaces", "korean", "already-encoded", "query", "1024-bytes", "controls"],
)
def test_hostile_keys_are_not_changed(stack: WatchedStack, key: str) -> None:
    """The function decodes a key exactly once, and only in events with encoded keys."""
    stack.upload(key, picture(key))

    assert stack.wait_for_announcement(key).document["data"]["image"]["key"] == key
    assert stack.result(stack.uri(key)) is not None


@pytest.mark.parametrize("format_name", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_every_format_is_tagged_with_a_wrong_file_extension(
    stack: WatchedStack, format_name: str
) -> None:
    """The bytes decide the format; tests/unit checks the data URL's prefix."""
    key = f"formats/{format_name}.png"

    stack.upload(key, picture(key, format_name))

    assert stack.wait_for_result(stack.uri(key))["status"] == "TAGGED"


def test_metadata_sets_the_context_and_the_language(stack: WatchedStack) -> None:
    """The API and the result get the decoded metadata."""
    content = picture("context")

    stack.upload(
        "context.png",
        content,
        {
            "tagger-brand": "나이키",
            "tagger-price": "299.99",
            "tagger-detection": "top, bottom",
            "tagger-language": "ko",
            "unrelated": "not sent",
        },
    )

    result = stack.wait_for_result(stack.uri("context.png"))
    expected = {"detection": ["TOP", "BOTTOM"], "brand": "나이키", "price": "299.99"}
    assert result["language"] == "ko"
    assert result["context"] == expected
    [call] = calls_about(stack, content)
    assert (call["language"], call["context"]) == ("ko", expected)


def test_each_version_of_a_key_is_tagged_and_the_newest_is_shown(
    stack: WatchedStack,
) -> None:
    """The function reads the version in the event, not the newest one."""
    first, second = picture("version 1"), picture("version 2")

    stack.upload("versions.png", first)
    newest = stack.upload("versions.png", second)

    result = stack.wait_for_result(stack.uri("versions.png"), version=newest)
    assert result["image"]["size"] == len(second)
    assert len(calls_about(stack, second)) == 1
    assert len(calls_about(stack, first)) <= 1


def test_a_forged_sequencer_does_not_silence_a_key(stack: WatchedStack) -> None:
    """S3 says which version is the current one; the role may ask."""
    first, second = picture("lied about"), picture("the truth")
    old = stack.upload("lied-about.png", first)
    stack.wait_for_result(stack.uri("lied-about.png"), version=old)
    forged = json.loads(notification(stack, "lied-about.png", old))
    forged["Records"][0]["s3"]["object"]["sequencer"] = "F" * 64
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody=json.dumps(forged)
    )
    wait_until_idle(stack)
    assert "F" * 64 in result_of(stack, "lied-about.png")["order"]["S"]

    new = stack.upload("lied-about.png", second)

    stack.wait_for_result(stack.uri("lied-about.png"), version=new)
    assert len(calls_about(stack, first)) == len(calls_about(stack, second)) == 1


def test_a_file_that_is_no_image_becomes_a_dead_letter_without_a_call(
    stack: WatchedStack,
) -> None:
    """The function checks the bytes before it calls the API."""
    content = b"item;price\nshirt;20\n"

    stack.upload("price-list.jpg", content)

    letter = stack.wait_for_dead_letter(stack.uri("price-list.jpg"))
    assert letter.attributes["ErrorCode"] == "UNSUPPORTED_FORMAT"
    assert letter.attributes["ErrorKind"] == "permanent"
    assert letter.attributes["ErrorSource"] == "image"
    assert letter.attributes["Attempts"] == "1"
    assert letter.attributes["Format"] == "text"
    [record] = json.loads(letter.body)["Records"]
    assert record["s3"]["object"]["key"] == "price-list.jpg"
    result = stack.wait_for_result(stack.uri("price-list.jpg"), status="FAILED")
    assert result["failure"]["code"] == "UNSUPPORTED_FORMAT"
    assert result["failure"]["format"] == "text"
    assert calls_about(stack, content) == []


def test_a_refused_image_is_tagged_by_a_replay_after_the_cause_is_fixed(
    stack: WatchedStack,
) -> None:
    """A refused image is dead-lettered without a retry; a replay by its code tags it."""
    content = picture("refused")
    stack.fail_image(sha256(content), code=806)
    uri = stack.uri("refused.png")
    stack.upload("refused.png", content)
    letter = stack.wait_for_dead_letter(uri)
    assert letter.attributes["ErrorCode"] == "806"
    assert len(calls_about(stack, content)) == 1

    listed = stack.hangtag("--json", "failures", "list")
    codes = {
        failure["image"]: failure["code"]
        for failure in map(json.loads, listed.stdout.splitlines())
    }
    assert codes[uri] == "806"

    stack.heal_image(sha256(content))
    # Other tests' images may have the same code
    replay = ("--json", "failures", "replay", "--code", "806", "--prefix", uri)
    dry_run = stack.hangtag(*replay)
    assert json.loads(dry_run.stdout)["byCode"] == {"806": 1}
    assert len(stack.dead_letters(uri)) == 1

    replayed = stack.hangtag(*replay, "--yes")
    assert json.loads(replayed.stdout)["done"] == 1
    assert stack.wait_for_result(uri, status="TAGGED")["image"]["uri"] == uri
    assert stack.dead_letters(uri) == []


def test_a_transient_failure_is_retried_and_dead_lettered_on_the_last_attempt(
    stack: WatchedStack,
) -> None:
    """With a MaxAttempts of two, the dead letter comes after two calls."""
    content = picture("transient")
    stack.fail_image(sha256(content), code=500)

    stack.upload("transient.png", content)

    letter = stack.wait_for_dead_letter(stack.uri("transient.png"))
    assert letter.attributes["ErrorCode"] == "500"
    assert letter.attributes["ErrorKind"] == "transient"
    assert letter.attributes["Attempts"] == "2"
    assert len(calls_about(stack, content)) == 2


def test_an_unreadable_message_becomes_a_dead_letter_byte_for_byte(
    stack: WatchedStack,
) -> None:
    """An operator can repair the original message."""
    body = '{"half": "an event", "한글": [1, 2'

    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody=body
    )

    def dead_lettered() -> bool | None:
        letters = [one for one in stack.dead_letters() if one.body == body]
        return True if [one.code for one in letters] == ["UNREADABLE_EVENT"] else None

    assert stack.wait_for(dead_lettered, "the dead letter of an unreadable message")


def test_a_repeated_message_is_neither_paid_nor_announced_again(
    stack: WatchedStack,
) -> None:
    """S3 may repeat an event with another message id; the object version identifies it."""
    content = picture("again")
    stack.upload("again.png", content)
    stack.wait_for_announcement("again.png")
    version = stack.wait_for_result(stack.uri("again.png"))["image"]["versionId"]

    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"],
        MessageBody=notification(stack, "again.png", version),
    )
    wait_until_idle(stack)

    assert len(calls_about(stack, content)) == 1
    assert len(stack.announcements("again.png")) == 1


def test_folder_markers_and_test_events_are_skipped(stack: WatchedStack) -> None:
    """Neither has a dead letter or a result; only the marker has a record."""
    stack.upload("a folder/", b"")
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"],
        MessageBody=json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
    )
    wait_until_idle(stack)

    [marker] = records_of(stack, "a folder/")
    assert marker["reason"] == {"S": "FOLDER_MARKER"}
    assert stack.result(stack.uri("a folder/")) is None
    assert stack.dead_letters(stack.uri("a folder/")) == []
    assert not any("s3:TestEvent" in one.body for one in stack.dead_letters())


def eventbridge_event(stack: WatchedStack, key: str, version: str) -> dict[str, Any]:
    """Return an event as EventBridge sends it, with the key not encoded."""
    bucket = stack.outputs["UploadsBucketName"]
    return {
        "version": "0",
        "id": "5f3d2c1e",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-11-22T10:00:00Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 1, "etag": "e", "version-id": version},
            "reason": "PutObject",
        },
    }


@pytest.mark.parametrize(
    "event_of",
    [
        eventbridge_event,
        lambda *arguments: json.loads(notification(*arguments)),
    ],
    ids=["eventbridge", "s3"],
)
def test_an_event_that_did_not_come_from_the_queue_is_put_on_it(
    stack: WatchedStack,
    event_of: Callable[[WatchedStack, str, str], dict[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    """From the queue, it is skipped, because its version is already tagged."""
    key = f"bare +%/{request.node.callspec.id}.png"
    content = picture(key)
    version = stack.upload(key, content)
    stack.wait_for_announcement(key)

    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["TagUploadsFunctionName"],
        Payload=json.dumps(event_of(stack, key, version)).encode(),
    )

    assert json.loads(answer["Payload"].read()) == {"queued": 1}
    wait_until_idle(stack)
    assert len(calls_about(stack, content)) == 1
    assert stack.dead_letters(stack.uri(key)) == []


def test_status_counts_results_and_dead_letters(stack: WatchedStack) -> None:
    """The numbers match the uploads."""
    stack.upload("status.png", picture("status"))
    stack.wait_for_announcement("status.png")
    stack.upload("status.txt", b"no image")
    stack.wait_for_dead_letter(stack.uri("status.txt"))
    stack.wait_for_result(stack.uri("status.txt"))
    wait_until_idle(stack)

    done = stack.hangtag("--json", "status")

    status = json.loads(done.stdout)
    assert done.returncode == 0
    assert status["queue"] == {"waiting": 0, "inFlight": 0}
    assert status["deadLetters"]["UNSUPPORTED_FORMAT"] >= 1
    assert status["results"]["TAGGED"] >= 1
    assert status["results"]["FAILED"] >= 1
    assert status["paused"] is False
    assert status["breaker"] == {"open": False, "code": None}


@pytest.fixture
def sending_urls(stack: WatchedStack) -> Iterator[None]:
    """Set the transport of a deployment with ImageTransport=url during the test."""
    with configured(stack, HANGTAG_IMAGE_TRANSPORT="url"):
        yield


@pytest.mark.usefixtures("sending_urls")
def test_the_api_fetches_an_image_by_a_presigned_url_that_is_not_logged(
    stack: WatchedStack,
) -> None:
    """It works with hostile keys; no URL is sent for a file that is not an image."""
    key = "by url/봄 + 원피스 (50%)?#.png"
    content = picture(key)

    stack.upload(key, content, {"tagger-id": "A-2"})
    stack.upload("by url/no image.png", b"no image")

    announced = stack.wait_for_announcement(key).document["data"]
    letter = stack.wait_for_dead_letter(stack.uri("by url/no image.png"))
    assert (announced["status"], announced["context"]) == ("TAGGED", {"id": "A-2"})
    assert len(calls_about(stack, content)) == 1
    assert letter.code == "UNSUPPORTED_FORMAT"
    assert "X-Amz-Signature" not in stack.function_log(events=1_000)


@pytest.mark.usefixtures("sending_urls")
def test_an_image_that_the_api_cannot_fetch_is_sent_as_base64(
    stack: WatchedStack,
) -> None:
    """After the code 803 for a URL, the function calls again with the image itself."""
    key = "by url/out of reach.png"
    content = picture(key)
    stack.fail_image(sha256(content), code=803, times=1)

    stack.upload(key, content)

    assert stack.wait_for_announcement(key).document["data"]["status"] == "TAGGED"
    assert [call["code"] for call in calls_about(stack, content)] == [803, None]
