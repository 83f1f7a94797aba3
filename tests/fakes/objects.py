from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from hangtag.errors import EmptyImage, ImageTooLarge
from hangtag.ports import ImageHead, ObjectFacts, StoredImage
from hangtag.tagger_api import SIGNATURE_BYTES, require_media_type
from hangtag.uploads import Upload
from tests.fakes.failing import CanFail


@dataclass(frozen=True, slots=True)
class _Version:
    facts: ObjectFacts
    content: bytes
    metadata: Mapping[str, str]


class FakeObjectStore(CanFail):
    """`ObjectStore` in memory: a versioned bucket, or one without versions."""

    def __init__(
        self, *, max_image_bytes: int = 20 * 1024 * 1024, versioned: bool = True
    ) -> None:
        super().__init__()
        self._max_image_bytes = max_image_bytes
        self._versioned = versioned
        self._versions: dict[str, list[_Version | None]] = {}
        self._forgotten: dict[str, list[_Version | None]] = {}
        self.before_reading: Callable[[], object] = lambda: None
        """Called before an object is read."""
        self.after_finding: Callable[[], object] = lambda: None
        """Called once, after an object was looked for and before the response arrives."""
        self.reads = 0
        """How often an image was read."""
        self.open_images: list[Upload] = []
        """The images that were read and not closed."""
        self._count = 0

    def put(
        self, uri: str, content: bytes, metadata: Mapping[str, str] | None = None
    ) -> ObjectFacts:
        """Puts an object."""
        self._count += 1
        facts = ObjectFacts(
            version_id=f"version-{self._count}" if self._versioned else None,
            etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            size=len(content),
        )
        version = _Version(facts, content, metadata or {})
        history = self._versions.setdefault(uri, [])
        if not self._versioned:
            history.clear()
        history.append(version)
        return facts

    def delete(self, uri: str) -> None:
        """Deletes an object; in a versioned bucket its versions stay behind a delete marker."""
        if self._versioned:
            self._versions[uri].append(None)
        else:
            del self._versions[uri]

    def undelete(self, uri: str) -> None:
        """Removes the delete marker: the version below it is current again."""
        assert self._versions[uri].pop() is None

    def purge(self, uri: str, version_id: str | None) -> None:
        """Deletes a version for good; if it was the newest, the one below it is current."""
        self._versions[uri] = [
            version
            for version in self._versions[uri]
            if version is None or version.facts.version_id != version_id
        ]

    def forget(self, uri: str) -> None:
        """Deletes an object with all its versions."""
        self._forgotten[uri] = self._versions.pop(uri, [])

    def restore(self, uri: str) -> None:
        """Restores an object that was deleted with `forget`."""
        self._versions[uri] = self._forgotten.pop(uri)

    def current(self, uri: str) -> ObjectFacts | None:
        """The current version of an object, even while `find` fails; None if it is gone."""
        current = self._current(uri)
        return current.facts if current else None

    def has_delete_marker(self, uri: str) -> bool:
        """Whether an object is behind a delete marker."""
        history = self._versions.get(uri, [])
        return bool(history) and history[-1] is None

    def find(self, upload: Upload) -> ObjectFacts | None:
        self._may_fail("find")
        current = self._current(upload.uri)
        after, self.after_finding = self.after_finding, lambda: None
        after()
        return current.facts if current else None

    def read(self, upload: Upload) -> StoredImage | None:
        self.before_reading()
        self._may_fail("read")
        version = self._version_of(upload)
        if version is None:
            return None
        size = len(version.content)
        if size == 0:
            raise EmptyImage(f"{upload.uri} has no bytes")
        if size > self._max_image_bytes:
            raise ImageTooLarge(f"{upload.uri} has {size} bytes")
        kind = require_media_type(version.content[:SIGNATURE_BYTES], upload.uri)
        self.reads += 1
        self.open_images.append(upload)
        return StoredImage(
            (version.content,),
            size,
            kind,
            version.metadata,
            version.facts.etag,
            lambda: self.open_images.remove(upload),
        )

    def peek(self, upload: Upload) -> ImageHead | None:
        image = self.read(upload)
        if image is None:
            return None
        image.close()
        etag = image.etag or ""
        return ImageHead(image.media_type, image.metadata, etag, image.size)

    def link(self, upload: Upload, *, seconds: float) -> str:
        self._may_fail("link")
        key = quote(upload.key)
        return (
            f"https://{upload.bucket}.s3.example/{key}?versionId={upload.version_id}"
            f"&X-Amz-Expires={seconds:.0f}&X-Amz-Signature=secret"
        )

    def _current(self, uri: str) -> _Version | None:
        history = self._versions.get(uri, [])
        return history[-1] if history else None

    def _version_of(self, upload: Upload) -> _Version | None:
        if upload.version_id is not None:
            for version in self._versions.get(upload.uri, []):
                if version and version.facts.version_id == upload.version_id:
                    return version
            return None
        current = self._current(upload.uri)
        if current and upload.etag not in (None, current.facts.etag):
            return None
        return current
