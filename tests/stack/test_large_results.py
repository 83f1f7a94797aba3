"""A result that no item of the table takes, on the whole stack."""

from __future__ import annotations

from local.fault_rules import LARGE_BYTES, large_answer
from local.watch import WatchedStack
from tests.stack.helpers import calls_about, picture, result_of, sha256


def test_a_large_result_is_tagged_announced_and_shown(stack: WatchedStack) -> None:
    """It is in S3, and its object is not taken for an upload."""
    key, content = "large-result.png", picture("large result")
    stack.sandbox.fail(
        {"sha256": sha256(content), "status": 201, "body": large_answer()}
    )

    stack.upload(key, content)

    stack.wait_for_announcement(key)
    result = stack.wait_for_result(stack.uri(key))
    assert result["status"] == "TAGGED"
    assert len(result["objects"][0]["tags"][0]["note"]) == LARGE_BYTES
    assert "objects" not in result_of(stack, key)["result"]["M"]
    found = stack.client("s3").list_objects_v2(
        Bucket=stack.outputs["LargeResultsBucketName"]
    )
    item = result_of(stack, key)
    assert item["largeResult"]["S"] in {one["Key"] for one in found["Contents"]}
    assert len(calls_about(stack, content)) == 1
