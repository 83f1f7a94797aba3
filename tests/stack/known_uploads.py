"""Uploads and deletions with known answers, and what must follow from them."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hangtag.announcements import FAILED, REMOVED, TAGGED
from local.indexed import index_troubles, unannounced_failures
from local.watch import WatchedStack
from tests.stack.helpers import picture, sha256, wait_until_idle
from tests.stack.known_answers import Answers, Known, Names, plain

PREFIX = "accept/"
"""Of all keys."""

STREAM_SECONDS = 20.0

PLANS = (
    ("good",),
    ("good", "good"),
    ("good", "delete"),
    ("good",),
    ("refused",),
    ("good", "delete", "good"),
    ("good", "delete", "undelete"),
    ("good", "good", "drop"),
    ("text",),
    ("good", "refused"),
    ("refused", "good"),
    ("good", "delete", "undelete", "delete"),
    ("refused", "delete"),
    ("refused", "delete", "undelete"),
    ("good", "delete", "refused", "good"),
    ("large",),
    ("huge", "good"),
    ("good", "huge"),
    ("huge", "delete"),
)
"""What happens to a key; the system is idle between two steps."""

HURRIED = (
    ("good", "good"),
    ("good", "delete"),
    ("good", "delete", "good"),
    ("good", "delete", "undelete"),
    ("good", "refused", "good", "delete", "good"),
)
"""The same without a pause."""

NAMES = (
    "plain-{}.png",
    "with blank +1% {}.png",
    "봄/드레스 {}.png",
    "a?b#c&d=e'f\"g-{}.png",
    "=1+1;@-{}.png",
    "[red]-{}-\u202e.png",
)


@dataclass(slots=True)
class Version:
    """A version of an object in the bucket, or a delete marker."""

    id: str
    known: Known | None = None
    """None: it cannot be tagged."""
    is_marker: bool = False


@dataclass(slots=True)
class Truth:
    """What was done, and what must follow."""

    versions: dict[str, list[Version]] = field(default_factory=dict)
    """By key, oldest first."""
    hurried: set[str] = field(default_factory=set)
    shown: dict[str, Version] = field(default_factory=dict)
    """The newest version of each key that has an object, by key."""
    found: dict[str, Version] = field(default_factory=dict)
    """The version whose tags are found, by key."""
    announced: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Key, type and version, of the keys that were not hurried."""
    calls: Counter[str] = field(default_factory=Counter)
    """Of images by their digest."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of versions."""
    of_version: dict[str, Known] = field(default_factory=dict)

    def has_put(self, key: str, version: Version, digest: str, *, calls: int) -> None:
        """A version was uploaded."""
        self.versions.setdefault(key, []).append(version)
        self.digests[version.id] = digest
        self.calls[digest] += calls
        self.shown[key] = version
        if version.known:
            self.of_version[version.id] = version.known
            self.found[key] = version
        self.announced[key, TAGGED if version.known else FAILED, version.id] += 1

    def has_deleted(self, key: str, marker: str) -> None:
        """A delete marker hides the object."""
        self.versions[key].append(Version(marker, is_marker=True))
        self.shown.pop(key)
        self.found.pop(key, None)
        self.announced[key, REMOVED, marker] += 1

    def has_surfaced(self, key: str) -> None:
        """The newest version or marker is gone; the one below is worked on again."""
        self.versions[key].pop()
        version = self.versions[key][-1]
        self.shown[key] = version
        if version.known:
            self.found[key] = version
        self.calls[self.digests[version.id]] += 1
        self.announced[key, TAGGED if version.known else FAILED, version.id] += 1

    def names(self) -> Names:
        """What each name stands for."""
        names: dict[tuple[str, str], set[str]] = defaultdict(set)
        for version in self.found.values():
            for name, key, text, _ in version.known.values() if version.known else ():
                names[name, plain(text)].add(key)
        return names


class Shop:
    """Uploads and deletes by chance, and keeps the truth."""

    def __init__(self, stack: WatchedStack, seed: int) -> None:
        self.stack = stack
        self.bucket = stack.outputs["UploadsBucketName"]
        self.seed = seed
        self.answers = Answers(random.Random(seed))  # noqa: S311 - not for secrets
        self.truth = Truth()
        self.troubles: list[str] = []
        """What had not followed from a step in time."""
        self._made = 0

    def do(self, key: str, step: str) -> None:
        """One step of a plan."""
        s3 = self.stack.client("s3")
        if step == "delete":
            answer = s3.delete_object(Bucket=self.bucket, Key=key)
            self.truth.has_deleted(key, answer["VersionId"])
        elif step in ("undelete", "drop"):
            newest = self.truth.versions[key][-1].id
            s3.delete_object(Bucket=self.bucket, Key=key, VersionId=newest)
            self.truth.has_surfaced(key)
        else:
            self._put(key, step)

    def _put(self, key: str, step: str) -> None:
        self._made += 1
        seed = f"accept {self.seed} {self._made}"
        content = seed.encode() if step == "text" else picture(seed)
        digest = sha256(content)
        known = None
        if step == "refused":
            self.stack.fail_image(digest, code=806)
        elif step != "text":
            filler = {"large": 300_000, "huge": 500_000}.get(step, 0)
            known = self.answers.make(filler)
            self.stack.sandbox.fail(
                {"sha256": digest, "status": 201, "body": known.body}
            )
        metadata = {}
        if known:
            metadata["tagger-language"] = known.language
            if known.product:
                metadata["tagger-id"] = known.product
        version = self.stack.upload(key, content, metadata)
        calls = 0 if step == "text" else 1
        self.truth.has_put(key, Version(version, known), digest, calls=calls)

    def run(self, images: int) -> None:
        """Do all plans, with pauses between the steps; hurried ones at once."""
        slow = {
            f"{PREFIX}{NAMES[n % len(NAMES)].format(n)}": PLANS[n % len(PLANS)]
            for n in range(images - images // 6)
        }
        for wave in range(max(map(len, PLANS))):
            for key, plan in slow.items():
                if wave < len(plan):
                    self.do(key, plan[wave])
            if wave == 0:
                for number in range(images // 6):
                    key = f"{PREFIX}hurried {number}.png"
                    self.truth.hurried.add(key)
                    for step in HURRIED[number % len(HURRIED)]:
                        self.do(key, step)
            self.settle()

    def settle(self) -> None:
        """Wait until nothing happens any more; what then is wrong becomes `troubles`."""
        for _ in range(3):  # an event may be on its way to the queue
            wait_until_idle(self.stack)
            time.sleep(0.3)
        until = time.monotonic() + STREAM_SECONDS
        while (behind := self._behind()) and time.monotonic() < until:
            time.sleep(0.3)
        self.troubles += behind

    def _behind(self) -> list[str]:
        """What the index lacks, or has too much, and failures that are not announced."""
        uris = set(map(self.stack.uri, self.truth.versions))
        failures = unannounced_failures(self.stack)  # also those of other tests
        return [
            *index_troubles(self.stack, uris),
            *(one for one in failures if f"/{PREFIX}" in one),
        ]
