"""
Measures the sandbox: accuracy of colours, speed of answers, and the cost of hostile images.

    python -m benchmarks.sandbox

takes some minutes and prints the tables of docs/sandbox.md. It needs Linux and no network. Each
hostile image is decoded in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
import struct
import sys
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from werkzeug.test import Client

from hangtag_sandbox import create_app
from hangtag_sandbox.decoding import ImageDecoder
from hangtag_sandbox.palette import palette
from hangtag_sandbox.perception import Lab, delta_e_2000, to_lab
from hangtag_sandbox.sightings import Sighting, look
from hangtag_sandbox.validation import Refused
from local.garments import draw_garments

Color = tuple[int, int, int]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
SHIRTS = 120
PHOTOGRAPH = (1000, 1333)
REPETITIONS = 15
LARGEST = (10_000, 10_000)


def main() -> None:
    """Run all measurements and print their tables."""
    palette()
    say("### Colours\n")
    table(
        ("painted", "colours", "median ΔE2000", "95 %", "worst"),
        (
            (name, len(off), *(f"{part:.2f}" for part in spread(off)))
            for name, off in colors()
        ),
    )
    say(f"\n### A photograph of {PHOTOGRAPH[0]} x {PHOTOGRAPH[1]}, one core\n")
    table(
        ("format", "KiB", "whole call, median", "worst", "CPU, median"),
        (
            (kind, size // 1024, ms(whole), ms(worst), ms(cpu))
            for kind, size, whole, worst, cpu in speed()
        ),
    )
    say("\n### Hostile images\n")
    table(("image", "KiB", "answer", "CPU", "memory"), hostile())


def colors() -> Iterator[tuple[str, list[float]]]:
    """Yield, for each kind of image, the differences of measured and painted colours."""
    with TemporaryDirectory() as folder:
        progress("the drawn garments of the demonstration")
        off = [
            differences(garment.path.read_bytes(), garment.colors)
            for garment in draw_garments(Path(folder))
        ]
    yield "the eight drawn garments, main cloth", [each[0] for each in off]
    yield "the same, every cloth", [one for each in off for one in each]
    random = np.random.default_rng(20261122)
    for name, drawn in (
        ("shirts in one flat colour", partial(shirt, light=0.0, grain=0.0)),
        ("shirts under light and shadow", partial(shirt, light=0.35, grain=0.0)),
        ("the same, grainy and compressed", partial(shirt, light=0.35, grain=4.0)),
    ):
        progress(name)
        found = []
        for number in range(SHIRTS):
            color = painted(random)
            kind = FORMATS[number % len(FORMATS)]
            found += differences(encoded(drawn(color, random), kind), [color])
        yield name, found


def painted(random: np.random.Generator) -> Color:
    """Pick a random colour that differs clearly from the pale background."""
    while True:
        red, green, blue = (int(level) for level in random.integers(20, 236, 3))
        if float(delta_e_2000(lab((red, green, blue)), lab(PAPER))) > 15:
            return red, green, blue


PAPER: Color = (232, 230, 226)


def shirt(
    color: Color, random: np.random.Generator, *, light: float, grain: float
) -> Image.Image:
    """Draw a shirt of 600 x 800 pixels; *light* is the depth of its folds, *grain* its noise."""
    outline = [
        *((210, 150), (270, 130), (330, 130), (390, 150), (500, 290), (440, 340)),
        *((405, 290), (410, 680), (190, 680), (195, 290), (160, 340), (100, 290)),
    ]
    cover = Image.new("L", (1200, 1600))
    ImageDraw.Draw(cover).polygon([(2 * x, 2 * y) for x, y in outline], fill=255)
    share = np.asarray(cover.reduce(2), dtype=np.float64)[..., None] / 255
    folds = Image.new("L", (600, 800))
    pen = ImageDraw.Draw(folds)
    for _ in range(5):
        x, y = random.integers(180, 420), random.integers(250, 650)
        to = (int(x + random.integers(-60, 60)), int(y + random.integers(60, 160)))
        pen.line(((int(x), int(y)), to), fill=255, width=14)
    soft = np.asarray(folds.filter(ImageFilter.GaussianBlur(9)), dtype=np.float64)
    shade = 1 - light * np.clip(soft / 120, 0, 1)[..., None]
    pixels = np.array(PAPER) * (1 - share) + np.array(color) * shade * share
    pixels += random.normal(0, grain, pixels.shape)
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def differences(image: bytes, colors: Iterable[Color]) -> list[float]:
    """Return the ΔE2000 of each painted colour to the nearest measured one."""
    codes = [seen.code for one in sightings(image) for seen in one.colors]
    found = np.array([list(bytes.fromhex(code[1:])) for code in codes], dtype=np.uint8)
    return [float(delta_e_2000(to_lab(found), lab(color)).min()) for color in colors]


def sightings(image: bytes) -> list[Sighting]:
    """Find the garments in an image."""
    return look(ImageDecoder().decode(image))


def lab(color: Color) -> Lab:
    """Convert a colour to CIELAB."""
    return to_lab(np.array(color, dtype=np.uint8))


def speed() -> Iterator[tuple[str, int, float, float, float]]:
    """Yield each format with its bytes, and the median, worst and median CPU seconds of a call."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    random = np.random.default_rng(7)
    photograph = shirt((46, 92, 150), random, light=0.35, grain=3.0).resize(PHOTOGRAPH)
    client = Client(create_app(["key"]))
    for kind in FORMATS:
        progress(f"a photograph as {kind}")
        image = encoded(photograph, kind)
        content = f"data:image/png;base64,{b64encode(image).decode()}"
        body = {"image": {"type": "base64", "content": content}}
        whole, cpu = [], []
        for _ in range(REPETITIONS):
            began, cpu_began = time.perf_counter(), time.process_time()
            response = client.post(
                "/tagger/v2.12/tags", json=body, headers={"x-api-key": "key"}
            )
            whole.append(time.perf_counter() - began)
            cpu.append(time.process_time() - cpu_began)
            if response.status_code != 201:
                raise SystemExit(response.get_data(as_text=True))
        yield (
            kind,
            len(image),
            statistics.median(whole),
            max(whole),
            statistics.median(cpu),
        )


def hostile() -> Iterator[tuple[str, int, str, str, str]]:
    """Measure images that are made to use much memory or time."""
    makers: dict[str, Callable[[], bytes]] = {
        "PNG, 10,000 x 10,000": partial(giant, "RGB", "PNG"),
        "PNG with alpha": partial(giant, "RGBA", "PNG"),
        "GIF": partial(giant, "P", "GIF"),
        "JPEG": partial(giant, "RGB", "JPEG"),
        "JPEG, progressive": partial(giant, "RGB", "JPEG", progressive=True),
        "JPEG, progressive, 32 scans": partial(many_scans, 32),
        "JPEG, progressive, 100,000 scans": partial(many_scans, 100_000),
        "TIFF, CMYK": partial(giant, "CMYK", "TIFF", compression="tiff_adobe_deflate"),
        "WEBP with alpha": partial(giant, "RGBA", "WEBP", method=0),
        "PNG, 50,000 x 50,000": partial(png_header, 50_000, 50_000),
        "PNG with a gigabyte of text": zipped_text,
        "noise, 1000 x 1333": noise,
    }
    # A new process for each step keeps the measured memory of the steps apart.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as process:
        for name, make in makers.items():
            progress(name)
            image = process.apply(make)
            answer, cpu, memory = process.apply(measure, (image,))
            yield name, len(image) // 1024, answer, f"{cpu:.1f} s", f"{memory} MiB"


def measure(image: bytes) -> tuple[str, float, int]:
    """Return the answer for an image, with its CPU seconds and MiB of memory."""
    palette()
    before = peak_memory(reset=True)
    began = time.process_time()
    try:
        answer = f"{len(sightings(image))} garments"
    except Refused as refused:
        answer = str(refused.code)
    return answer, time.process_time() - began, peak_memory() - before


def peak_memory(*, reset: bool = False) -> int:
    """Return the peak memory of this process in MiB; *reset* sets it to the current use first."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) // 1024


def giant(mode: str, kind: str, **options: object) -> bytes:
    """Make the largest allowed image as a small file."""
    return encoded(Image.new(mode, LARGEST), kind, **options)


def many_scans(count: int) -> bytes:
    """Make a progressive JPEG with *count* scans."""
    image = giant("RGB", "JPEG", progressive=True)
    last = image[image.rindex(SCAN) : -2]
    more = max(0, count - image.count(SCAN))
    return image[:-2] + last * more + image[-2:]


SCAN = b"\xff\xda"


def png_header(width: int, height: int) -> bytes:
    """Make a PNG that declares these sides and has no pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGNATURE + head + chunk(b"IDAT", b"")


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def zipped_text() -> bytes:
    """Make a small PNG with 1 MB of compressed text that expands to 1 GB."""
    image = encoded(Image.new("RGB", (60, 80)), "PNG")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1024**3), 9))
    return image[:33] + text + image[33:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """Encode a chunk of a PNG."""
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    )


def noise() -> bytes:
    """Make an image of random pixels."""
    random = np.random.default_rng(3)
    width, height = PHOTOGRAPH
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Encode an image as a file of this format."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return the median, the 95th percentile and the maximum."""
    return (
        statistics.median(values),
        float(np.percentile(values, 95)),
        max(values),
    )


def ms(seconds: float) -> str:
    """Format seconds as milliseconds."""
    return f"{1000 * seconds:.0f} ms"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a Markdown table row by row."""
    heads = list(heads)
    say(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        say(f"| {' | '.join(map(str, row))} |")


def say(text: str) -> None:
    """Print a line of data on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Print the current step on stderr."""
    sys.stderr.write(f"... {text}\n")


if __name__ == "__main__":
    main()
