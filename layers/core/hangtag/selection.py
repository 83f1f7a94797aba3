"""Which keys are tagged: the stack's parameters UploadPrefix and UploadSuffixes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Keys that begin with one of the prefixes and end with one of the suffixes.

    No prefixes, or no suffixes, select all keys. A prefix and a suffix must not overlap in the key:
    the filter of EventBridge, `PREFIX*SUFFIX`, does not select such a key either.
    """

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()

    def has(self, key: str) -> bool:
        """Whether a raw key is selected. Upper and lower case differ, as in S3."""
        return any(
            key.startswith(prefix) and key.endswith(suffix, len(prefix))
            for prefix in self.prefixes or ("",)
            for suffix in self.suffixes or ("",)
        )


ALL_KEYS = Selection()


def read_values(text: str) -> tuple[str, ...]:
    """The values of one of the two parameters, which are separated by commas."""
    return tuple(value for value in text.split(",") if value)
