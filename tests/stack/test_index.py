"""
The index follows the results, and failures are announced, by the stream of the table.

How the local cloud differs from AWS: it repeats a failed batch after a second, with the changes
since, never halves it and counts no repetitions; it sends a batch to IndexFailuresQueue when a
change in it is older than MaximumRecordAgeInSeconds. Items that expire leave its table without a
change in the stream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from hangtag.adapters.dynamodb_index import tag_of, values_tag
from hangtag.adapters.dynamodb_results import RESULT
from hangtag.announcements import FAILED
from hangtag.index import Term, entries_of, known_values, position_of, shard_of
from local.indexed import index_troubles, indexed
from local.watch import WatchedStack
from tests.stack.helpers import picture, sha256

LAG_SECONDS = 2.0


def wait_until_indexed(stack: WatchedStack, key: str) -> dict[str, Any]:
    """Wait until a key has a result, and the index has exactly its entries; returns the result."""
    uri = stack.uri(key)
    result = stack.wait_for_result(uri, status="TAGGED")
    stack.wait_for(
        lambda: not index_troubles(stack, {uri}) or None, f"entries of {uri}"
    )
    return result


def wait_until_not_indexed(stack: WatchedStack, key: str) -> None:
    """Wait until the index has no entries of a key."""
    uri = stack.uri(key)
    stack.wait_for(
        lambda: not any(one.uri == uri for one in indexed(stack)) or None,
        f"no entries of {uri}",
    )


def failures_announced(stack: WatchedStack, key: str) -> list[dict[str, Any]]:
    """The announcements of failures of a key."""
    return [one.document for one in stack.announcements(key, type_=FAILED)]


@contextmanager
def index_function(stack: WatchedStack, **variables: str) -> Iterator[None]:
    """Change environment variables of the function while the context lasts."""
    functions = stack.client("lambda")
    name = stack.outputs["IndexResultsFunctionName"]
    deployed = functions.get_function_configuration(FunctionName=name)["Environment"]
    functions.update_function_configuration(
        FunctionName=name,
        Environment={"Variables": {**deployed["Variables"], **variables}},
    )
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=deployed)


def test_an_upload_is_in_the_index_with_all_its_terms(stack: WatchedStack) -> None:
    """Each entry has the key and the confidence; names of values can be looked up."""
    stack.upload("index/upload.png", picture("index/upload"))

    result = wait_until_indexed(stack, "index/upload.png")

    uri = stack.uri("index/upload.png")
    result = json.loads(json.dumps(result), parse_float=Decimal)
    table = stack.client("dynamodb")
    for term, confidence in entries_of(result).items():
        item = table.get_item(
            TableName=stack.outputs["IndexTableName"],
            Key={
                "tag": {"S": tag_of(term, shard_of(uri))},
                "at": {"S": position_of(result)},
            },
        )["Item"]
        assert item["uri"] == {"S": uri}
        assert (confidence is None) == ("confidence" not in item)
    for value in known_values(result):
        item = table.get_item(
            TableName=stack.outputs["IndexTableName"],
            Key={
                "tag": {"S": values_tag(value.term.field)},
                "at": {"S": value.term.value},
            },
        )["Item"]
        assert value.name in item["names"]["SS"]


def test_an_overwritten_upload_is_found_by_its_new_tags_only(
    stack: WatchedStack,
) -> None:
    """The entries of the old result are removed."""
    stack.upload("index/overwritten.png", picture("index/old"))
    old = wait_until_indexed(stack, "index/overwritten.png")

    version = stack.upload("index/overwritten.png", picture("index/new"))
    uri = stack.uri("index/overwritten.png")
    new = stack.wait_for_result(uri, version=version)
    wait_until_indexed(stack, "index/overwritten.png")

    positions = {one.position for one in indexed(stack) if one.uri == uri}
    assert positions == {position_of(new)}
    assert position_of(old) != position_of(new)


def test_a_deleted_result_has_no_entries(stack: WatchedStack) -> None:
    """Whoever deletes the item: the removal of an object, an operator, or DynamoDB."""
    stack.upload("index/deleted.png", picture("index/deleted"))
    wait_until_indexed(stack, "index/deleted.png")

    stack.client("dynamodb").delete_item(
        TableName=stack.outputs["ResultsTableName"],
        Key={"uri": {"S": stack.uri("index/deleted.png")}, "version": {"S": RESULT}},
    )

    wait_until_not_indexed(stack, "index/deleted.png")


def test_a_failure_is_announced_once(stack: WatchedStack) -> None:
    """With code and kind; a reservation for a replay announces nothing."""
    content = picture("index/failed")
    stack.fail_image(sha256(content), code=807)
    stack.upload("index/failed.png", content)

    stack.wait_for(
        lambda: failures_announced(stack, "index/failed.png") or None,
        "the announcement of a failure",
    )
    replayed = stack.hangtag(
        "failures", "replay", "--prefix", stack.uri("index/failed.png")
    )  # without --yes
    assert replayed.returncode in (0, 1)
    time.sleep(LAG_SECONDS)

    [document] = failures_announced(stack, "index/failed.png")
    assert document["data"]["status"] == "FAILED"
    assert document["data"]["failure"]["code"] == "807"
    [announced] = stack.announcements("index/failed.png")
    assert announced.attributes["kind"] == "permanent"


def test_tags_below_the_least_confidence_are_not_indexed(stack: WatchedStack) -> None:
    """A confidence of 1 leaves only what has none, and what is certain."""
    with index_function(stack, HANGTAG_MIN_CONFIDENCE="1"):
        stack.upload("index/sure.png", picture("index/sure"))
        uri = stack.uri("index/sure.png")
        result = stack.wait_for_result(uri, status="TAGGED")
        stack.wait_for(
            lambda: any(one.uri == uri for one in indexed(stack)) or None, "entries"
        )

    result = json.loads(json.dumps(result), parse_float=Decimal)
    expected = set(entries_of(result, min_confidence=Decimal(1)))
    assert {one.term for one in indexed(stack) if one.uri == uri} == expected
    assert expected < set(entries_of(result))


def test_the_index_catches_up_when_its_function_works_again(
    stack: WatchedStack,
) -> None:
    """A failing batch is repeated, and the changes behind it wait."""
    with index_function(stack, HANGTAG_INDEX_TABLE="gone"):
        stack.upload("index/waits.png", picture("index/waits"))
        uri = stack.uri("index/waits.png")
        stack.wait_for_result(uri, status="TAGGED")
        stack.wait_for_announcement("index/waits.png")
        time.sleep(LAG_SECONDS)
        assert not any(one.uri == uri for one in indexed(stack))

    wait_until_indexed(stack, "index/waits.png")


def test_changes_that_fail_for_good_are_reported_to_the_queue(
    stack: WatchedStack,
) -> None:
    """The local cloud looks at their age only; the changes behind them go on."""
    functions, sqs = stack.client("lambda"), stack.client("sqs")
    [mapping] = functions.list_event_source_mappings(
        FunctionName=stack.outputs["IndexResultsFunctionName"]
    )["EventSourceMappings"]
    arn = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    stack.upload("index/lost.png", picture("index/first"))
    first = wait_until_indexed(stack, "index/lost.png")

    functions.update_event_source_mapping(
        UUID=mapping["UUID"], MaximumRecordAgeInSeconds=1
    )
    try:
        with index_function(stack, HANGTAG_INDEX_TABLE="gone"):
            version = stack.upload("index/lost.png", picture("index/lost"))
            stack.wait_for_result(stack.uri("index/lost.png"), version=version)

            def reported() -> dict[str, Any] | None:
                found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
                messages = found.get("Messages")
                return json.loads(messages[0]["Body"]) if messages else None

            report = stack.wait_for(reported, "the report of a failed batch")
    finally:
        functions.update_event_source_mapping(
            UUID=mapping["UUID"],
            MaximumRecordAgeInSeconds=int(mapping["MaximumRecordAgeInSeconds"]),
        )
        sqs.purge_queue(QueueUrl=url)

    assert report["DDBStreamBatchInfo"]["streamArn"].endswith(
        mapping["EventSourceArn"].rpartition("/")[2]
    )
    # Only the entries before the lost change stay, until the index is rebuilt
    uri = stack.uri("index/lost.png")
    version = stack.upload("index/lost.png", picture("index/next"))
    last = stack.wait_for_result(uri, version=version)

    def positions() -> set[str]:
        return {one.position for one in indexed(stack) if one.uri == uri}

    stack.wait_for(lambda: position_of(last) in positions() or None, "the next change")
    assert positions() == {position_of(first), position_of(last)}


def test_a_batch_is_logged_with_its_entries_and_its_lag(stack: WatchedStack) -> None:
    """An operator sees whether the index follows."""
    stack.upload("index/logged.png", picture("index/logged"))
    wait_until_indexed(stack, "index/logged.png")
    log = stack.client("lambda").get_function_configuration(
        FunctionName=stack.outputs["IndexResultsFunctionName"]
    )["LoggingConfig"]["LogGroup"]

    def last() -> dict[str, Any] | None:
        events = stack.client("logs").filter_log_events(logGroupName=log)["events"]
        lines = [one["message"] for one in events if '"indexed"' in one["message"]]
        return json.loads(lines[-1]) if lines else None

    line = stack.wait_for(last, "a line of the function")
    assert line["results"] >= 1
    assert line["entriesPut"] >= 1
    assert line["lagSeconds"] <= LAG_SECONDS


@pytest.mark.parametrize("confidence", ["0.35", "1"])
def test_the_least_confidence_may_have_decimals(
    stack: WatchedStack, confidence: str
) -> None:
    """CloudFormation and the function take the same text."""
    with index_function(stack, HANGTAG_MIN_CONFIDENCE=confidence):
        name = stack.outputs["IndexResultsFunctionName"]
        answer = stack.client("lambda").invoke(
            FunctionName=name, Payload=b'{"Records": []}'
        )

        assert json.loads(answer["Payload"].read())["results"] == 0


def test_one_entry_is_found_by_a_query_of_its_partition(stack: WatchedStack) -> None:
    """Newest first, without a scan."""
    for number in range(3):
        key = f"index/queried-{number}.png"
        stack.upload(key, picture(key))
        wait_until_indexed(stack, key)
    uri = stack.uri("index/queried-1.png")

    found = stack.client("dynamodb").query(
        TableName=stack.outputs["IndexTableName"],
        KeyConditionExpression="tag = :tag",
        ExpressionAttributeValues={
            ":tag": {"S": tag_of(Term("all", ""), shard_of(uri))}
        },
        ScanIndexForward=False,
    )["Items"]

    assert uri in [one["uri"]["S"] for one in found]
    positions = [one["at"]["S"] for one in found]
    assert positions == sorted(positions, reverse=True)
