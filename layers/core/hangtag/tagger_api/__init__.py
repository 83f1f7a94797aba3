"""The Tagger API, version 2.12: its requests, its answers, and the image formats it takes."""

from hangtag.tagger_api.answer import Answer
from hangtag.tagger_api.images import (
    MEDIA_TYPES,
    SIGNATURE_BYTES,
    media_type,
    require_media_type,
)
from hangtag.tagger_api.reading import MAX_ANSWER_BYTES, read_answer
from hangtag.tagger_api.request import (
    DEFAULT_LANGUAGE,
    DETECTIONS,
    LANGUAGES,
    PIECE_BYTES,
    Base64Body,
    Context,
    Detection,
    Language,
    ProbeBody,
    RequestBody,
    UrlBody,
    read_detection,
    read_language,
    read_metadata,
)

__all__ = [
    "DEFAULT_LANGUAGE",
    "DETECTIONS",
    "LANGUAGES",
    "MAX_ANSWER_BYTES",
    "MEDIA_TYPES",
    "PIECE_BYTES",
    "SIGNATURE_BYTES",
    "Answer",
    "Base64Body",
    "Context",
    "Detection",
    "Language",
    "ProbeBody",
    "RequestBody",
    "UrlBody",
    "media_type",
    "read_answer",
    "read_detection",
    "read_language",
    "read_metadata",
    "require_media_type",
]
