"""The demonstration: uploads images, shows each step and checks that it worked."""

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

from hangtag.announcements import TAGGED
from hangtag_cli.tables import text
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
    """An image to upload, with its context."""

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
    Run the demonstration with the images in the folder `images`, or with drawn ones.

    It keeps its files in `directory` and stops all programs at the end.

    Raises:
        LocalError: A step did not have the expected result.
    """
    console = Console(stderr=True)
    step = steps_on(console)
    own = None if images is None else own_pictures(images, console)
    with step("Drawing garments"):
        *drawn, refused = drawn_pictures(directory / "garments")
    not_an_image = Picture(directory / "price-list.jpg", "demo/price-list.jpg")
    not_an_image.path.write_bytes(PRICE_LIST)
    pictures = drawn if own is None else own
    stack = bring_up(
        directory, step=step, cloud_port=cloud_port, sandbox_port=sandbox_port
    )
    try:
        show = Show(watch(stack, "demo-subscriber"), console)
        show.upload([*pictures, refused, not_an_image], to_refuse=refused)
        show.results(pictures if own is None else [])
        show.announcement()
        show.dead_letters(refused, not_an_image)
        show.replay(refused)
        show.final_status(not_an_image)
    finally:
        with step("Stopping the local cloud"):
            take_down(directory)


class Show:
    """The steps of the demonstration, in sequence; each raises LocalError if it fails."""

    def __init__(self, stack: WatchedStack, progress: Console) -> None:
        self._stack = stack
        self._progress = progress
        at_terminal = sys.stdout.isatty()
        self._stage = Console(width=None if at_terminal else WIDTH_WITHOUT_TERMINAL)

    def upload(self, pictures: Sequence[Picture], *, to_refuse: Picture) -> None:
        """Upload all images and wait until each is announced or dead-lettered."""
        self._stack.fail_image(
            fingerprint(to_refuse), code=int(REFUSAL_CODE), message=REFUSAL_MESSAGE
        )
        total = len(pictures)
        with counting(self._progress, "Uploading", total=total) as advance:
            for number, picture in enumerate(pictures, start=1):
                body = picture.path.read_bytes()
                self._stack.upload(picture.key, body, picture.context)
                advance(number)

        with counting(self._progress, "Tagging", total=total) as advance:

            def all_ended() -> bool | None:
                dead_lettered = {
                    letter.attributes.get("Image")
                    for letter in self._stack.dead_letters()
                }
                ended = len(self._announced()) + len(dead_lettered)
                advance(ended)
                return True if ended >= total else None

            everything = f"all {total} uploads to be announced or dead-lettered"
            self._stack.wait_for(all_ended, everything, seconds=60 + 2 * total)

    def results(self, expected: Sequence[Picture]) -> None:
        """Show a table of the tagged images; all `expected` images must be in it."""
        announced = self._announced()
        table = Table()
        for heading in ("picture", "category", "item", "colours", "position"):
            table.add_column(heading, overflow="fold")
        for key, announcement in sorted(announced.items()):
            for number, row in enumerate(rows(announcement.document["data"])):
                table.add_row(*map(text, ("" if number else key, *row)))
        self._title("The results")
        self._stage.print(table)
        self._say(
            "The sandbox finds the garments and their colours in the pixels. "
            "It invents the other tags, such as the category."
        )
        self._require(announced, "no image was tagged")
        missing = [picture.key for picture in expected if picture.key not in announced]
        self._require(not missing, f"not tagged: {', '.join(missing)}")
        stored = json.loads(self._ask("status"))["results"]
        self._require(
            stored["TAGGED"] == len(announced),
            f"{len(announced)} results were announced, but the table has {stored}",
        )

    def announcement(self) -> None:
        """Show the announcement with the most context, as a subscriber received it."""
        announced = list(self._announced().values())
        announcement = max(
            announced, key=lambda it: len(it.document["data"]["context"])
        )
        self._title("The announcement, as a subscriber received it")
        self._json(announcement.document)
        self._stage.print()
        self._say("Its attributes, for filter policies:")
        self._json(announcement.attributes)
        self._require(
            announcement.document["type"] == "hangtag.image.tagged.v1"
            and announcement.attributes.get("type") == announcement.document["type"],
            "the announcement is not of type hangtag.image.tagged.v1",
        )

    def dead_letters(self, refused: Picture, not_an_image: Picture) -> None:
        """Show the dead letters with their codes, as operators list them."""
        self._title("The dead letters")
        self._say(f"{not_an_image.key} is a price list with the name of an image.")
        self._say(
            f"The sandbox refuses {refused.key} with {REFUSAL_CODE}, by an injected fault."
        )
        self._run("failures", "list")
        codes = self._failures()
        self._require_code(codes, refused, REFUSAL_CODE)
        self._require_code(codes, not_an_image, "UNSUPPORTED_FORMAT")

    def replay(self, refused: Picture) -> None:
        """Remove the fault, replay the refused image and show its result."""
        self._title("A replay after the fault is fixed")
        self._stack.heal_image(fingerprint(refused))
        self._say(f"The sandbox no longer refuses {refused.key}.")
        replay = ("failures", "replay", "--code", REFUSAL_CODE)
        self._run(*replay)
        self._require_code(self._failures(), refused, REFUSAL_CODE)
        self._run(*replay, "--yes")
        self._stack.wait_for_announcement(refused.key)
        self._run("results", "show", self._stack.uri(refused.key))

    def final_status(self, not_an_image: Picture) -> None:
        """Show the status; the upload that is not an image is still in the dead-letter queue."""
        self._title("The final status")
        self._run("status")
        self._require_code(self._failures(), not_an_image, "UNSUPPORTED_FORMAT")
        self._stage.print()
        self._say(
            "The demo has passed. `make up` starts the same stack and leaves it running."
        )

    def _announced(self) -> dict[str, Announcement]:
        """Return the announcements by key, because SNS may repeat an announcement."""
        return {
            announcement.document["subject"]: announcement
            for announcement in self._stack.announcements(type_=TAGGED)
        }

    def _failures(self) -> dict[str, str]:
        """Return the codes by uri from `hangtag failures list`."""
        failures = map(json.loads, self._ask("failures", "list").splitlines())
        return {failure["image"]: failure["code"] for failure in failures}

    def _require_code(
        self, codes: dict[str, str], picture: Picture, expected: str
    ) -> None:
        code = codes.get(self._stack.uri(picture.key), "no dead letter")
        self._require(
            code == expected, f"{picture.key}: expected {expected}, got {code}"
        )

    def _run(self, *arguments: str) -> None:
        """Run a `hangtag` command and show its output."""
        command = shlex.join(["hangtag", *arguments])
        self._stage.print()
        self._stage.print(text(f"$ {command}", "bold"), soft_wrap=True)
        sys.stdout.flush()
        status = self._stack.show_hangtag(*arguments)
        self._require(status == 0, f"{command} ended with {status}")

    def _ask(self, *arguments: str) -> str:
        """Return the output of a `hangtag` command with --json."""
        done = self._stack.hangtag("--json", *arguments)
        self._require(done.returncode == 0, f"hangtag {arguments[0]}: {done.stderr}")
        return done.stdout

    def _require(self, condition: object, problem: str) -> None:
        if not condition:
            raise LocalError(self._stack.with_log(f"the demo failed: {problem}"))

    def _say(self, sentence: str) -> None:
        self._stage.print(text(sentence))

    def _title(self, title: str) -> None:
        self._stage.print()
        self._stage.rule(f"[bold]{title}", align="left")

    def _json(self, document: object) -> None:
        self._stage.print_json(data=document, ensure_ascii=True)


def drawn_pictures(folder: Path) -> list[Picture]:
    """Draw the garments of `local.garments` into `folder`."""
    folder.mkdir(parents=True)
    return [
        Picture(garment.path, f"demo/{garment.path.name}", garment.context)
        for garment in draw_garments(folder)
    ]


def own_pictures(folder: Path, console: Console) -> list[Picture]:
    """
    Find the images in `folder` and below by file extension; at most the first 200.

    Raises:
        LocalError: The folder does not exist or has no image.
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
        raise LocalError(f"IMAGES={folder} holds no image ({endings})")
    if len(paths) > MOST_PICTURES:
        console.print(
            f"{folder} holds {len(paths)} images; "
            f"the demo takes the first {MOST_PICTURES}",
            markup=False,
        )
    return [
        Picture(path, f"pictures/{path.relative_to(folder).as_posix()}")
        for path in paths[:MOST_PICTURES]
    ]


def fingerprint(picture: Picture) -> str:
    """Return the SHA-256 of an image's bytes in hex, by which faults select it."""
    return hashlib.sha256(picture.path.read_bytes()).hexdigest()


def rows(result: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield category, item, colours and position of every garment in a result."""
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
    """Return the name of a tag's attribute; empty if the API left it out."""
    return str((attribute or {}).get("name") or "")
