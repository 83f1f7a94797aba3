"""Objects that are deleted lose their result, undeleted ones get it again."""

from __future__ import annotations

import json

from local.watch import Announcement, WatchedStack
from tests.stack.helpers import (
    calls_about,
    picture,
    records_of,
    result_of,
    wait_until_idle,
    without_notifications,
)

TAGGED = "hangtag.image.tagged.v1"
REMOVED = "hangtag.image.removed.v1"


def announced(stack: WatchedStack, key: str) -> list[Announcement]:
    """The announcements about a key, in the sequence of the events."""
    return sorted(
        (one for one in stack.announcements() if one.document["subject"] == key),
        key=lambda one: int(one.document["data"]["image"]["sequencer"], 16),
    )


def types_announced(stack: WatchedStack, key: str) -> list[str]:
    """The types of the announcements about a key, in the sequence of the events."""
    return [one.document["type"] for one in announced(stack, key)]


def delete(stack: WatchedStack, key: str, version: str | None = None) -> str:
    """Deletes an object, or a version of it or a delete marker; returns the marker's version."""
    named = {"Bucket": stack.outputs["UploadsBucketName"], "Key": key}
    if version is not None:
        named["VersionId"] = version
    answer = stack.client("s3").delete_object(**named)
    return str(answer.get("VersionId"))


def statuses_of(stack: WatchedStack, key: str) -> list[str]:
    """The status of each record of a key, or its reason to skip, in the sequence of the events."""
    records = sorted(
        records_of(stack, key),
        key=lambda one: (int(one["sequencer"]["S"], 16), one["version"]["S"]),
    )
    return [one.get("reason", one["status"])["S"] for one in records]


def wait_for_end(stack: WatchedStack, key: str, *statuses: str) -> None:
    """Waits until the records of a key have these statuses, and nothing is on the queue."""

    def has_ended() -> bool | None:
        return True if statuses_of(stack, key) == list(statuses) else None

    stack.wait_for(has_ended, f"{key} to end as {', '.join(statuses)}")
    wait_until_idle(stack)


def is_tombstone(stack: WatchedStack, key: str) -> bool:
    """Whether the item of the result says that the object is gone."""
    item = result_of(stack, key)
    return "result" not in item and {"removedAt", "expiresAt"} <= set(item)


def test_a_deletion_removes_the_result_and_is_announced(stack: WatchedStack) -> None:
    """The announcement has the key, the delete marker and its place in the sequence."""
    key, content = "removals/deleted image +1.png", picture("deleted")
    stack.upload(key, content)
    stack.wait_for_result(stack.uri(key))

    marker = delete(stack, key)
    wait_for_end(stack, key, "TAGGED", "REMOVED")

    assert is_tombstone(stack, key)
    assert types_announced(stack, key) == [TAGGED, REMOVED]
    removed = announced(stack, key)[-1]
    assert removed.document["data"]["status"] == "REMOVED"
    assert removed.document["data"]["image"]["versionId"] == marker
    assert removed.document["time"] == removed.document["data"]["removedAt"]
    assert removed.attributes == {
        "type": REMOVED,
        "bucket": stack.outputs["UploadsBucketName"],
    }
    assert len(calls_about(stack, content)) == 1


def test_an_upload_after_a_deletion_is_tagged(stack: WatchedStack) -> None:
    """The same image again is another version, and another call."""
    key, content = "removals/again.png", picture("again")
    stack.upload(key, content)
    stack.wait_for_result(stack.uri(key))

    delete(stack, key)
    version = stack.upload(key, content)
    stack.wait_for(
        lambda: (
            [
                one
                for one in records_of(stack, key)
                if one["version"]["S"] == f"version:{version}" and "endedAt" in one
            ]
            or None
        ),
        "the second version to be tagged",
    )
    wait_until_idle(stack)

    [newest] = [
        one
        for one in announced(stack, key)
        if one.document["data"]["image"]["versionId"] == version
    ]
    assert newest.document["type"] == TAGGED
    assert result_of(stack, key)["objectVersion"]["S"] == f"version:{version}"
    assert len(calls_about(stack, content)) == 2


def test_an_undelete_brings_the_result_back(stack: WatchedStack) -> None:
    """By one more call, which the record explains."""
    key, content = "removals/undeleted.png", picture("undeleted")
    version = stack.upload(key, content)
    stack.wait_for_result(stack.uri(key))
    marker = delete(stack, key)
    wait_for_end(stack, key, "TAGGED", "REMOVED")
    assert is_tombstone(stack, key)

    delete(stack, key, marker)
    # The upload has the sequencer of the undelete now
    wait_for_end(stack, key, "REMOVED", "SUPERSEDED", "TAGGED")

    assert result_of(stack, key)["objectVersion"]["S"] == f"version:{version}"
    assert types_announced(stack, key) == [TAGGED, REMOVED, TAGGED]
    [record] = [
        one
        for one in records_of(stack, key)
        if one["version"]["S"] == f"version:{version}"
    ]
    assert record["calls"]["M"] == {"FIRST": {"N": "1"}, "OVERTAKEN": {"N": "1"}}
    assert len(calls_about(stack, content)) == 2


def test_the_version_below_a_deleted_version_has_the_result(
    stack: WatchedStack,
) -> None:
    """The newest version is deleted for good; nothing is announced as removed."""
    key = "removals/surfaced.png"
    old = stack.upload(key, picture("surfaced 1"))
    wait_for_end(stack, key, "TAGGED")
    new = stack.upload(key, picture("surfaced 2"))
    wait_for_end(stack, key, "TAGGED", "TAGGED")
    assert result_of(stack, key)["objectVersion"]["S"] == f"version:{new}"

    delete(stack, key, new)
    # The old version has the sequencer of the deletion now
    wait_for_end(stack, key, "TAGGED", "SUPERSEDED", "TAGGED")

    assert result_of(stack, key)["objectVersion"]["S"] == f"version:{old}"
    assert types_announced(stack, key) == [TAGGED, TAGGED, TAGGED]


def test_an_upload_that_arrives_after_its_deletion_is_not_tagged(
    stack: WatchedStack,
) -> None:
    """Neither late nor repeated events cost a call, or a second announcement."""
    key, content = "removals/late.png", picture("late")
    with without_notifications(stack):
        version = stack.upload(key, content)
    marker = delete(stack, key)
    wait_for_end(stack, key, "REMOVED")
    assert is_tombstone(stack, key)

    for name, object_version, sequencer in (
        ("ObjectCreated:Put", version, "01"),
        ("ObjectRemoved:DeleteMarkerCreated", marker, "02"),
        ("ObjectRemoved:DeleteMarkerCreated", marker, "02"),
    ):
        record = {
            "eventSource": "aws:s3",
            "eventName": name,
            "s3": {
                "bucket": {"name": stack.outputs["UploadsBucketName"]},
                "object": {
                    "key": key,
                    "versionId": object_version,
                    "sequencer": sequencer,
                },
            },
        }
        stack.client("sqs").send_message(
            QueueUrl=stack.outputs["UploadQueueUrl"],
            MessageBody=json.dumps({"Records": [record]}),
        )
    # S3's own event, whose sequencer is the highest, is the third
    wait_for_end(stack, key, "SUPERSEDED", "SUPERSEDED", "REMOVED")

    assert is_tombstone(stack, key)
    assert calls_about(stack, content) == []
    assert types_announced(stack, key) == [REMOVED]
