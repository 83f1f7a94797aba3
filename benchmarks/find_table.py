"""
A DynamoDB for `benchmarks.find` and `benchmarks.reindex`: the two tables in memory, with the
requests of a search and of a rebuild.

It runs in a process of its own and speaks DynamoDB's protocol. Lists are sorted, pages end at 1 MB
as DynamoDB's do, and there is no latency. It also describes the stack, as CloudFormation does.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from hangtag.adapters.dynamodb_index import tag_of, values_tag
from hangtag.adapters.dynamodb_table import to_attribute
from hangtag.index import entries_of, known_values, position_of, shard_of
from hangtag.results import Document
from hangtag.text import to_timestamp
from hangtag_sandbox.categories import CLOTHING, SHOES
from hangtag_sandbox.vocabulary import COLORS, GENDERS, PRINTS, Word

Item = dict[str, Any]

BUCKET: Final = "hangtag-uploads-example"
STACK: Final = "hangtag"
INDEX_TABLE, RESULTS_TABLE = "hangtag-IndexTable", "hangtag-ResultsTable"
FIRST_SECOND: Final = 1_790_000_000
SECONDS_APART: Final = 60
_PAGE_BYTES: Final = 1_048_576


def results(number: int) -> Iterator[Document]:
    """
    *number* results, a minute apart, made by chance from the words of the sandbox.

    Categories and colours are as unequal as in a shop: the second is half as frequent as the
    first, the third a third, and so on. Four images belong to a product.
    """
    chance = random.Random(15)  # noqa: S311 - no secret
    categories = [*CLOTHING, *SHOES]
    weights = [1 / rank for rank in range(1, len(categories) + 1)]
    for index in range(number):
        [category] = chance.choices(categories, weights)
        tag: dict[str, Any] = {"category": _named(category.word)}
        for field, words in category.choices.items():
            tag[field] = (
                [
                    _sure(chance, word)
                    for word in chance.sample(words, min(2, len(words)))
                ]
                if field.endswith("s")
                else _sure(chance, chance.choice(words))
            )
        tag["colors"] = [_sure(chance, word) for word in _unequal(chance, COLORS)]
        tag["prints"] = [_sure(chance, word) for word in _unequal(chance, PRINTS)[:1]]
        key = f"photos/{index:09}.jpg"
        yield {
            "status": "TAGGED",
            "image": {
                "uri": f"s3://{BUCKET}/{key}",
                "bucket": BUCKET,
                "key": key,
                "versionId": f"{index:032x}",
                "etag": f"{index:032x}",
                "size": 200_000,
                "sequencer": f"{index:018X}",
            },
            "language": "en",
            "context": {"id": f"SKU-{index // 4:07}"},
            "taggedAt": to_timestamp(FIRST_SECOND + SECONDS_APART * index),
            "objects": [{"type": category.object_type, "tags": [tag]}],
            "genderInfo": _named(chance.choice(list(GENDERS.values()))),
        }


def _unequal(chance: random.Random, words: Mapping[str, Word]) -> list[Word]:
    """One to three different words, the first ones more often."""
    some = list(words.values())
    weights = [1 / rank for rank in range(1, len(some) + 1)]
    picked = chance.choices(some, weights, k=chance.randint(1, 3))
    return list({word.id: word for word in picked}.values())


def _named(word: Word) -> dict[str, Any]:
    return {"id": word.id, "name": word.names["en"]}


def _sure(chance: random.Random, word: Word) -> dict[str, Any]:
    confidence = Decimal(chance.randint(2_000_000_000, 9_999_999_999)).scaleb(-10)
    return {**_named(word), "confidence": confidence}


class Tables:
    """The items of both tables."""

    def __init__(self, number: int, *, indexed: bool) -> None:
        self.lists: defaultdict[str, list[tuple[str, Item]]] = defaultdict(list)
        """The index, by `tag`: items by `at`."""
        self.results: dict[str, Item] = {}
        names: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for result in results(number):
            uri, position = result["image"]["uri"], position_of(result)
            for term, confidence in entries_of(result).items() if indexed else ():
                item: Item = {"uri": {"S": uri}}
                if confidence is not None:
                    item["confidence"] = {"N": str(confidence)}
                self.lists[tag_of(term, shard_of(uri))].append((position, item))
            for value in known_values(result) if indexed else ():
                names[values_tag(value.term.field), value.term.value].add(value.name)
            self.results[uri] = {
                "uri": {"S": uri},
                "version": {"S": "result"},
                "objectVersion": {"S": result["image"]["versionId"]},
                "order": {"S": result["image"]["sequencer"]},
                "result": to_attribute(result),
            }
        for (tag, at), some in names.items():
            self.lists[tag].append((at, {"names": {"SS": sorted(some)}}))
        for entries in self.lists.values():
            entries.sort(key=lambda one: one[0])

    def query(self, asked: Mapping[str, Any]) -> Item:
        """A page of a list."""
        values = asked["ExpressionAttributeValues"]
        tag = values[":tag"]["S"]
        entries = self.lists.get(tag, [])
        low, high = (
            values.get(name, {"S": other})["S"]
            for name, other in ((":low", ""), (":high", "\U0010ffff"))
        )
        some = entries[
            bisect_left(entries, low, key=lambda one: one[0]) : bisect_right(
                entries, high, key=lambda one: one[0]
            )
        ]
        if not asked.get("ScanIndexForward", True):
            some.reverse()
        page = _first_megabyte(tag, some[: asked.get("Limit")])
        least = values.get(":least")
        with_uris = "uri" in asked.get("ProjectionExpression", "uri")
        answer: Item = {"Count": len(page), "ScannedCount": len(page)}
        if asked.get("Select") != "COUNT":
            answer["Items"] = [
                {
                    "at": {"S": at},
                    **(
                        {name: item[name] for name in item if name != "confidence"}
                        if with_uris
                        else {}
                    ),
                }
                for at, item in page
                if least is None
                or "confidence" not in item
                or Decimal(item["confidence"]["N"]) >= Decimal(least["N"])
            ]
        if len(page) < len(some):
            answer["LastEvaluatedKey"] = {"tag": {"S": tag}, "at": {"S": page[-1][0]}}
        return answer

    def batch_get_item(self, asked: Mapping[str, Any]) -> Item:
        """Results, or entries of lists."""
        [(table, some)] = asked["RequestItems"].items()
        read = self._result if table == RESULTS_TABLE else self._entry
        found = [item for item in map(read, some["Keys"]) if item]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def scan(self, asked: Mapping[str, Any]) -> Item:
        """A page of a table; its key is a place in the table as it is now."""
        of_results = asked["TableName"] == RESULTS_TABLE
        if not asked.get("ExclusiveStartKey"):
            self._scanned = (
                list(self.results.values())
                if of_results
                else [
                    {"tag": {"S": tag}, "at": {"S": at}, **item}
                    for tag, entries in self.lists.items()
                    for at, item in entries
                ]
            )
        start = int(asked.get("ExclusiveStartKey", {}).get("place", {}).get("N", 0))
        size = 400 if of_results else 7_000  # about 1 MB
        page = self._scanned[start : start + size]
        answer: Item = {"Items": page, "Count": len(page)}
        if start + size < len(self._scanned):
            answer["LastEvaluatedKey"] = {"place": {"N": str(start + size)}}
        return answer

    def batch_write_item(self, asked: Mapping[str, Any]) -> Item:
        """Entries of lists; the only table that is written to is the index."""
        [writes] = asked["RequestItems"].values()
        for write in writes:
            if "PutRequest" in write:
                item = dict(write["PutRequest"]["Item"])
                entries = self.lists[item.pop("tag")["S"]]
                insort(entries, (item.pop("at")["S"], item), key=lambda one: one[0])
        return {"UnprocessedItems": {}}

    def _result(self, key: Mapping[str, Any]) -> Item | None:
        return self.results.get(key["uri"]["S"])

    def _entry(self, key: Mapping[str, Any]) -> Item | None:
        entries, at = self.lists.get(key["tag"]["S"], []), key["at"]["S"]
        place = bisect_left(entries, at, key=lambda one: one[0])
        if place == len(entries) or entries[place][0] != at:
            return None
        return {**key, **entries[place][1]}


def _first_megabyte(
    tag: str, some: Sequence[tuple[str, Item]]
) -> list[tuple[str, Item]]:
    left, page = _PAGE_BYTES, []
    for at, item in some:
        left -= len(tag) + len(at) + len(str(item))
        page.append((at, item))
        if left < 0:
            break
    return page


DESCRIPTION: Final = (
    "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>"
    f"<StackName>{STACK}</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
    "<CreationTime>2026-11-22T12:00:00Z</CreationTime><Outputs>"
    f"<member><OutputKey>ResultsTableName</OutputKey><OutputValue>{RESULTS_TABLE}"
    f"</OutputValue></member><member><OutputKey>IndexTableName</OutputKey><OutputValue>"
    f"{INDEX_TABLE}</OutputValue></member></Outputs></member></Stacks>"
    "</DescribeStacksResult></DescribeStacksResponse>"
)


def serve(number: int, said: Any, indexed: bool) -> None:  # noqa: ANN401, FBT001 - a pipe; of a process
    """Serve the tables of *number* results on loopback; the port goes into the pipe."""
    tables, counts = Tables(number, indexed=indexed), Counter[str]()
    operations: Mapping[str, Callable[[Any], Item]] = {
        "Query": tables.query,
        "BatchGetItem": tables.batch_get_item,
        "Scan": tables.scan,
        "BatchWriteItem": tables.batch_write_item,
        "UpdateItem": lambda _: {},  # the names of a value, which nothing here reads again
    }

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            counts[target] += 1
            operation = operations.get(target)
            self._send(
                json.dumps(operation(json.loads(body))) if operation else DESCRIPTION
            )

        def do_GET(self) -> None:
            """The number of requests of each kind since the last GET."""
            found = json.dumps(counts)
            counts.clear()
            self._send(found)

        def _send(self, text: str) -> None:
            content = text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        said.send(server.server_port)
        server.serve_forever()
