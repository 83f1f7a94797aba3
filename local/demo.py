"""The main job, shown on one machine and checked while it is shown."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.garments import draw_garments
from local.processes import LocalError
from local.progress import counting, steps_on
from local.stack import bring_up, take_down
from local.watch import Announcement, WatchedStack, watch

FORMATS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"})
MOST_PICTURES = 200
PRICE_LIST = b"item,price\nwool coat,129000\nlinen shirt,49000\n"
REFUSAL_CODE = "809"
REFUSAL_MESSAGE = "The image has too many bytes"
WIDTH_WITHOUT_TERMINAL = 120


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to upload, with the context that goes along."""

    path: Path
    key: str
    context: dict[str, str] = field(default_factory=dict)


def demo(
    directory: Path,
    *,
    images: Path | None = None,
    cloud_port: int = 0,
    sandbox_port: int = 0,
) -> None:
    """
    Show the main job with the pictures in the folder `images`, or with drawn ones.

    Everything is kept in `directory`; nothing is left running.

    Raises:
        LocalError: something that should have happened did not.
    """
    talk = Console(stderr=True)
    step = steps_on(talk)
    own = None if images is None else own_pictures(images, talk)
    with step("Drawing garments"):
        *drawn, refused = drawn_pictures(directory / "garments")
    not_an_image = Picture(directory / "price-list.jpg", "demo/price-list.jpg")
    not_an_image.path.write_bytes(PRICE_LIST)
    pictures = drawn if own is None else own
    stack = bring_up(
        directory, step=step, cloud_port=cloud_port, sandbox_port=sandbox_port
    )
    try:
        show = Show(watch(stack, "demo-subscriber"), talk)
        show.upload([*pictures, refused, not_an_image], to_refuse=refused)
        show.what_was_tagged(pictures if own is None else [])
        show.announcement()
        show.dead_letters(refused, not_an_image)
        show.replay(refused)
        show.what_is_left(not_an_image)
    finally:
        with step("Stopping the local cloud"):
            take_down(directory)


class Show:
    """The parts of the demo, in their order; each raises LocalError where it misses."""

    def __init__(self, stack: WatchedStack, talk: Console) -> None:
        self._stack = stack
        self._talk = talk
        at_terminal = sys.stdout.isatty()
        self._stage = Console(width=None if at_terminal else WIDTH_WITHOUT_TERMINAL)

    def upload(self, pictures: Sequence[Picture], *, to_refuse: Picture) -> None:
        """Upload everything, and wait until each upload has ended one way or the other."""
        self._stack.fail_image(
            fingerprint(to_refuse), code=int(REFUSAL_CODE), message=REFUSAL_MESSAGE
        )
        total = len(pictures)
        with counting(self._talk, "Uploading", total=total) as tell:
            for number, picture in enumerate(pictures, start=1):
                body = picture.path.read_bytes()
                self._stack.upload(picture.key, body, picture.context)
                tell(number)

        with counting(self._talk, "Tagging", total=total) as tell:

            def all_ended() -> bool | None:
                buried = {
                    letter.attributes.get("Image")
                    for letter in self._stack.dead_letters()
                }
                ended = len(self._announced()) + len(buried)
                tell(ended)
                return True if ended >= total else None

            everything = f"all {total} uploads to be announced or buried"
            self._stack.wait_for(all_ended, everything, seconds=60 + 2 * total)

    def what_was_tagged(self, expected: Sequence[Picture]) -> None:
        """A table of all that was tagged, which `expected` must have been."""
        announced = self._announced()
        table = Table()
        for heading in ("picture", "category", "item", "colours", "position"):
            table.add_column(heading, overflow="fold")
        for key, announcement in sorted(announced.items()):
            for number, row in enumerate(rows(announcement.document["data"])):
                table.add_row(*map(Text, ("" if number else key, *row)))
        self._title("What was tagged")
        self._stage.print(table)
        self._say(
            "The sandbox sees where garments are and their colours; "
            "what pixels cannot tell, such as the category, it invents."
        )
        self._require(announced, "nothing was tagged")
        missing = [picture.key for picture in expected if picture.key not in announced]
        self._require(not missing, f"not tagged: {', '.join(missing)}")
        stored = json.loads(self._ask("status"))["results"]
        self._require(
            stored["TAGGED"] == len(announced),
            f"{len(announced)} were announced, but {stored} stored",
        )

    def announcement(self) -> None:
        """One announcement as a subscriber received it, best one with context."""
        announced = list(self._announced().values())
        announcement = max(
            announced, key=lambda it: len(it.document["data"]["context"])
        )
        self._title("The announcement, as a subscriber received it")
        self._json(announcement.document)
        self._say("\nIts attributes, for filter policies:")
        self._json(announcement.attributes)
        self._require(
            announcement.document["type"] == "hangtag.image.tagged.v1"
            and announcement.attributes.get("type") == announcement.document["type"],
            "the announcement is not of type hangtag.image.tagged.v1",
        )

    def dead_letters(self, refused: Picture, not_an_image: Picture) -> None:
        """The dead letters with their codes, as the operator's command shows them."""
        self._title("The dead letters")
        self._say(f"{not_an_image.key} is a price list with the name of a picture.")
        self._say(
            f"{refused.key} is refused: the sandbox was told to, with {REFUSAL_CODE}."
        )
        self._run("failures", "list")
        codes = self._failures()
        self._require_code(codes, refused, REFUSAL_CODE)
        self._require_code(codes, not_an_image, "UNSUPPORTED_FORMAT")

    def replay(self, refused: Picture) -> None:
        """The cause is removed, the refused picture replayed, and its result shown."""
        self._title("A replay, after the cause was removed")
        self._stack.heal_image(fingerprint(refused))
        self._say(f"The sandbox no longer refuses {refused.key}.")
        order = ("failures", "replay", "--code", REFUSAL_CODE)
        self._run(*order)
        self._require_code(self._failures(), refused, REFUSAL_CODE)
        self._run(*order, "--yes")
        self._stack.wait_for_announcement(refused.key)
        self._run("results", "show", self._stack.uri(refused.key))

    def what_is_left(self, not_an_image: Picture) -> None:
        """What no replay can help stays where it is."""
        self._title("What is left")
        self._run("status")
        self._require_code(self._failures(), not_an_image, "UNSUPPORTED_FORMAT")
        self._say(
            "\nAll of it happened. `make up` leaves the same stack running, to try it yourself."
        )

    def _announced(self) -> dict[str, Announcement]:
        """By key: an announcement may arrive more than once."""
        return {
            announcement.document["subject"]: announcement
            for announcement in self._stack.announcements()
        }

    def _failures(self) -> dict[str, str]:
        """Codes by uri, as `hangtag failures list` tells them."""
        failures = map(json.loads, self._ask("failures", "list").splitlines())
        return {failure["image"]: failure["code"] for failure in failures}

    def _require_code(
        self, codes: dict[str, str], picture: Picture, expected: str
    ) -> None:
        code = codes.get(self._stack.uri(picture.key), "no code, it is not there")
        self._require(
            code == expected, f"{picture.key}: expected {expected}, got {code}"
        )

    def _run(self, *arguments: str) -> None:
        """Run a command of `hangtag` for everyone to see."""
        command = shlex.join(["hangtag", *arguments])
        self._stage.print(Text(f"\n$ {command}", "bold"), soft_wrap=True)
        sys.stdout.flush()
        status = self._stack.show_hangtag(*arguments)
        self._require(status == 0, f"{command} ended with {status}")

    def _ask(self, *arguments: str) -> str:
        """What a command of `hangtag` prints with --json."""
        done = self._stack.hangtag("--json", *arguments)
        self._require(done.returncode == 0, f"hangtag {arguments[0]}: {done.stderr}")
        return done.stdout

    def _require(self, condition: object, missed: str) -> None:
        if not condition:
            raise LocalError(self._stack.with_log(f"the demo missed: {missed}"))

    def _say(self, sentence: str) -> None:
        self._stage.print(sentence, markup=False, highlight=False)

    def _title(self, title: str) -> None:
        self._stage.print()
        self._stage.rule(f"[bold]{title}", align="left")

    def _json(self, document: object) -> None:
        self._stage.print_json(json.dumps(document, ensure_ascii=False))


def drawn_pictures(folder: Path) -> list[Picture]:
    """The garments that `local.garments` draws, into `folder`."""
    folder.mkdir(parents=True)
    return [
        Picture(garment.path, f"demo/{garment.path.name}", garment.context)
        for garment in draw_garments(folder)
    ]


def own_pictures(folder: Path, talk: Console) -> list[Picture]:
    """
    The pictures in `folder` and below, by their names' endings; the first 200 of them.

    Raises:
        LocalError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise LocalError(f"IMAGES={folder} is not a folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in FORMATS and path.is_file()
    )
    if not paths:
        endings = " ".join(sorted(FORMATS))
        raise LocalError(f"IMAGES={folder} holds no picture ({endings})")
    if len(paths) > MOST_PICTURES:
        talk.print(
            f"{folder} holds {len(paths)} pictures; "
            f"the demo takes the first {MOST_PICTURES}",
            markup=False,
        )
    return [
        Picture(path, f"pictures/{path.relative_to(folder).as_posix()}")
        for path in paths[:MOST_PICTURES]
    ]


def fingerprint(picture: Picture) -> str:
    """How the sandbox knows a picture: the SHA-256 of its bytes, in hex."""
    return hashlib.sha256(picture.path.read_bytes()).hexdigest()


def rows(result: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Category, item, colours and position of every garment in a result."""
    tags = [tag for found in result["objects"] for tag in found["tags"]]
    for tag in tags:
        colours = ", ".join(name(colour) for colour in tag.get("colors") or [])
        position = tag.get("position") or {}
        places = [f"{position[axis]:.2f}" for axis in "xy" if axis in position]
        yield (
            name(tag.get("category")),
            name(tag.get("item")),
            colours,
            ", ".join(places),
        )
    if not tags:
        yield "(no garment found)", "", "", ""


def name(attribute: dict[str, Any] | None) -> str:
    """The name of an attribute of a tag; nothing where the API left it out."""
    return str((attribute or {}).get("name") or "")
