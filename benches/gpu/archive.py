"""Archives of pictures through `fluoroscope explain`, against what `fluoroscope bench` says of the device alone.

The rate of `explain` is that of the images which a long run has more than a short one, so that its start costs nothing."""
import json
import math
import os
import re
import shutil
import struct
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHOD, BATCH = "gradient", 64
# The short run's share of what the long one has more.
SHORT = 1 / 6
# Images of an array.
TOGETHER = 64
# Inputs, and what is written of every map.
SCENES = [("arrays", "npy"), ("photos", "npy"), ("photos", "png")]
HEAD = ["network", "inputs", "written", "images/s", "bench's heatmaps/s", "share", "computing", "waiting for images",
        "waiting for files"]


class Failed(Exception):
    """A command that was to be timed."""


class Cut(Exception):
    """Its time was over."""


def scratch(needed):
    """A folder with room for so many bytes, in memory if it can be: it is not the disk that is measured. Raises Failed."""
    for place in ("/dev/shm", tempfile.gettempdir()):
        if os.access(place, os.W_OK) and shutil.disk_usage(place).free > needed:
            return tempfile.TemporaryDirectory(dir=place)
    raise Failed(f"neither /dev/shm nor {tempfile.gettempdir()} has {needed / 2**30:.1f} GiB")


def write_noise(path, shape):
    """An array of f32."""
    count = math.prod(shape)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    some = struct.pack("<4096f", *((i * 2654435761 % 4096) / 2048 - 1 for i in range(4096)))
    values = some * (count * 4 // len(some) + 1)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values[:count * 4])


def fill(folder, inputs, images, shape):
    """A folder of so many images, a few files under many names; how many there are."""
    folder.mkdir()
    if inputs == "arrays":
        sources, images = [folder / "noise"], -(-images // TOGETHER)
        write_noise(sources[0], (TOGETHER, *shape))
        suffix, each = ".npy", TOGETHER
    else:
        sources = [folder / photo.stem for photo in sorted((HERE / "data/photos").glob("*.jpg"))]
        for source in sources:
            source.write_bytes((HERE / f"data/photos/{source.name}.jpg").read_bytes())
        suffix, each = ".jpg", 1
    for i in range(images):
        os.link(sources[i % len(sources)], folder / f"{i:06}{suffix}")
    return images * each


class Archive:
    """One network by one backend."""

    def __init__(self, call, binary, model, backend, seconds, repeats):
        """`call(name, command)` gives exit code, None where the time was over, output and seconds. `seconds`: what the images that the
        long run has more would take the device alone. `repeats`: those of `bench`."""
        self.call, self.binary, self.model, self.seconds, self.repeats = call, binary, model, seconds, repeats
        self.common = [model, *backend, "--method", METHOD, "--batch", BATCH]

    def run(self, name, command):
        code, said, _ = self.call(f"{name} of {self.model.stem}", command)
        if code is None:
            raise Cut
        if code != 0:
            last = [line for line in said.splitlines() if line.strip()][-1:] or ["no output"]
            raise Failed(f"{name}, exit code {code}: {last[0].strip()[:200]}")
        return said

    def bench(self):
        """Heatmaps a second, and the shape of an image."""
        said = self.run("bench", [self.binary, "bench", *self.common, "--repeats", self.repeats, "--json"])
        inspected = self.run("inspect", [self.binary, "inspect", self.model, "--json"])
        shape = json.loads(inspected)["input"]["shape"]
        return json.loads(said.splitlines()[0])["heatmaps_per_second"], shape

    def explain(self, inputs, written, images, shape):
        """Images, seconds, and how they were spent."""
        # Maps as large as images, an array, pictures, and some to spare.
        needed = int(1.3 * 4 * math.prod(shape) * (images + 2 * TOGETHER)) + (64 << 20)
        with scratch(needed) as folder:
            pictures, maps = Path(folder) / "inputs", Path(folder) / "maps"
            images = fill(pictures, inputs, images, shape)
            said = self.run(f"explain {inputs} {written}",
                            [self.binary, "explain", *self.common, pictures, "--format", written, "--output", maps,
                             "--verbose"])
        found = re.search(rf"^{images} images, {images} maps in ([\d.]+) s", said, re.M)
        spent = re.search(r"(\d+ %) of the time computing, (\d+ %) waiting for images, (\d+ %) waiting for files", said)
        if not found or not spent:
            raise Failed(f"explain {inputs} {written} did not explain {images} images")
        return images, float(found[1]), spent.groups()

    def rows(self):
        """A row for every scene. Raises Failed and Cut."""
        alone, shape = self.bench()
        for inputs, written in SCENES:
            few, start, _ = self.explain(inputs, written, max(1, int(alone * SHORT * self.seconds)), shape)
            more = max(1, int(self.seconds * min(alone, few / max(start, 0.01) * 2)))
            many, end, spent = self.explain(inputs, written, few + more, shape)
            rate = (many - few) / max(end - start, 1e-9)
            yield [self.model.stem, inputs, written, f"{rate:.0f}", f"{alone:.0f}", f"{100 * rate / alone:.0f} %", *spent]
