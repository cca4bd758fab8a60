#!/usr/bin/env python3
"""How much of a device's time `fluoroscope explain` uses, on a machine without one.

    benches/paced.py MODEL HEATMAPS_PER_SECOND... [--copy GB/s] [--format F] [--seconds N] [--release FOLDER]

Archives of arrays go through `explain` on the stand-in driver of ptx-sim/driver, whose kernels and copies are not done, but take
as long as on a device that makes so many gradient maps a second and copies that fast. Kernels take the same time each. Needs

    cargo build --release --package fluoroscope --package ptx-sim-driver
"""
import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches" / "gpu"))
import archive  # noqa: E402

# Kernels of this many microseconds let nothing wait that is counted.
COUNTING = 1


class Paced:
    """A network on a device that computes and copies at a pace."""

    def __init__(self, release, model, copy, written, scratch):
        self.model, self.copy, self.written, self.scratch = model, copy, written, Path(scratch)
        shutil.copy(release / "libptx_sim_driver.so", self.scratch / "libcuda.so")
        self.archive = archive.Archive(self.call, release / "fluoroscope", model, ["--backend", "cuda"], None, None)
        said = self.archive.run("inspect", [release / "fluoroscope", "inspect", model, "--json"])
        self.shape = json.loads(said)["input"]["shape"]
        self.pace = COUNTING
        self.kernels = self.launches(2) - self.launches(1)

    def call(self, _, command):
        """As archive.Archive asks for it."""
        self.report = self.scratch / "report.jsonl"
        self.report.unlink(missing_ok=True)
        knobs = {"LD_LIBRARY_PATH": str(self.scratch), "PTX_SIM_CAPABILITY": "9.0", "PTX_SIM_MEMORY": str(64 << 30),
                 "PTX_SIM_PACE": f"{self.pace},{self.copy}", "PTX_SIM_REPORT": str(self.report)} if command[1] == "explain" else {}
        done = subprocess.run([str(word) for word in command], env=os.environ | knobs, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout, None

    def launches(self, batches):
        """Kernels of some batches, with those of the start."""
        self.archive.explain("arrays", "npy", batches * archive.BATCH, self.shape)
        rows = [json.loads(line) for line in self.report.read_text().splitlines()]
        return sum(row["launches"] for row in rows if row["kind"] == "device")

    def measure(self, rate, seconds):
        """Images a second, milliseconds of processors an image, and how the time was spent."""
        self.pace = 1e6 * archive.BATCH / rate / self.kernels
        few, many = (int(rate * seconds * share) for share in (archive.SHORT, 1 + archive.SHORT))
        runs = []
        for images in (few, many):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            images, took, spent = self.archive.explain("arrays", self.written, images, self.shape)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            runs.append((images, took, busy, spent))
        (few, start, few_busy, _), (many, end, busy, spent) = runs
        more = many - few
        return more / (end - start), 1e3 * (busy - few_busy) / more, spent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("rates", type=float, nargs="+", metavar="HEATMAPS_PER_SECOND")
    parser.add_argument("--copy", type=float, default=25, help="GB/s to and from the host")
    parser.add_argument("--format", default="npy", help="what is written of every map")
    parser.add_argument("--seconds", type=float, default=5, help="what the images take the device")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--release", type=Path, default=target / "release", help="where the binaries are")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            paced = Paced(args.release, args.model, args.copy, args.format, scratch)
            print(f"{args.model.stem}, {os.cpu_count()} processors, {paced.kernels} kernels a batch of {archive.BATCH}")
            print("| heatmaps/s of the device | images/s | share | ms of processors | computing | images | files |")
            for rate in args.rates:
                found, busy, spent = paced.measure(rate, args.seconds)
                cells = [f"{rate:.0f}", f"{found:.0f}", f"{100 * found / rate:.0f} %", f"{busy:.2f}", *spent]
                print("| " + " | ".join(cells) + " |", flush=True)
        except (archive.Failed, OSError) as reason:
            sys.exit(str(reason))


if __name__ == "__main__":
    main()
