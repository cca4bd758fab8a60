#!/usr/bin/env python3
"""Runs the page and its module in Chromium, on WebGPU by SwiftShader, and compares its maps with those of the program on the CPU.

usage: web/check.py PAGE FLUOROSCOPE [--pictures FOLDER]

PAGE is the folder that web/build makes, FLUOROSCOPE the program. Needs chromium; Debian's, of the package `chromium`.
"""

import argparse
import array
import json
import math
import pathlib
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).resolve().parent
CHEST = ["saliency", "deconvnet", "guided-backprop", "grad-cam", "lrp-epsilon", "lrp-zplus", "deeplift"]
FACE = [*CHEST, "input-x-gradient", "guided-grad-cam", "epsilon-plus-flat", "integrated-gradients", "smoothgrad"]
CASES = [
    {"model": "/data/chest/chest-densenet.onnx", "picture": "/data/films/test-1.png", "methods": CHEST, "target": "0"},
    {"model": "/data/models/rnet.onnx", "picture": "/data/photos/astronaut.jpg", "methods": FACE, "target": "1"},
]
# Of a map's peak: both compute in f32, in another order.
BOUND = 1e-3
PATIENCE = 300 # seconds
# What the answers to bad input name, in the order of check/check.js.
REFUSALS = ["cut.onnx", "no.onnx", "chest.card.json", "imagenot", "no.png"]
FLAGS = """--headless --no-sandbox --disable-gpu-sandbox --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader
    --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-quic""".split()


class Handler(SimpleHTTPRequestHandler):
    """The page, the check's own files below /check, the project's data, and what the browser sends."""

    def do_GET(self):
        if self.path != "/cases":
            return super().do_GET()
        body = json.dumps(CASES).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def translate_path(self, path):
        below = urllib.parse.urlsplit(path).path
        if below.startswith("/check/"):
            return str(HERE / "check" / (below.removeprefix("/check/") or "index.html"))
        if below.startswith("/data/"):
            return str(HERE.parent / "data" / below.removeprefix("/data/"))
        return super().translate_path(path)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urllib.parse.urlsplit(self.path)
        about = urllib.parse.parse_qs(url.query).get("about", ["null"])[0]
        self.server.sent.put((url.path, json.loads(about), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def npy(path):
    """The numbers of a C-order f32 array."""
    data = path.read_bytes()
    (length,) = struct.unpack("<H", data[8:10])
    values = array.array("f")
    values.frombytes(data[10 + length :])
    return values


def by_program(program, case):
    """The program's maps, by method."""
    with tempfile.TemporaryDirectory() as folder:
        model, picture = (f"{HERE.parent}{case[what]}" for what in ["model", "picture"])
        command = [program, "explain", model, picture, "--backend", "cpu", "-m", ",".join(case["methods"])]
        command += ["-t", case["target"], "-o", folder, "--format", "npy"]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {path.name.split(".")[-2]: npy(path) for path in pathlib.Path(folder).glob("*.npy")}


def distance(got, want):
    """The greatest difference, in shares of the peak."""
    if len(got) != len(want) or not all(map(math.isfinite, got)):
        return math.inf
    return max(abs(a - b) for a, b in zip(got, want)) / max(map(abs, want))


def in_browser(page):
    """All that the browser sends, until it is done."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(page)))
    server.sent = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no chromium: install Debian's package chromium")
    with tempfile.TemporaryDirectory() as profile:
        address = f"http://127.0.0.1:{server.server_port}/check/"
        running = subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={profile}", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while True:
                kind, about, body = server.sent.get(timeout=PATIENCE)
                yield kind, about, body
                if kind in ("/done", "/failed"):
                    return
        except queue.Empty:
            sys.exit(f"the browser has sent nothing for {PATIENCE} s")
        finally:
            running.kill()
            running.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path, help="where the browser's pictures go")
    arguments = parser.parse_args()
    wanted = {case["model"]: by_program(arguments.program, case) for case in CASES}
    missing = {(case["model"], method, turn) for case in CASES for method in case["methods"] for turn in [0, 1]}
    problems = []
    for kind, about, body in in_browser(arguments.page):
        if kind == "/failed":
            sys.exit(f"the browser: {body.decode()}")
        elif kind == "/picture":
            if not body.startswith(b"\x89PNG"):
                problems.append(f"{about}: no PNG")
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                name = f"{pathlib.Path(about['model']).stem}.{about['method']}.png"
                (arguments.pictures / name).write_bytes(body)
        elif kind == "/map":
            key = (about["model"], about["method"], about["turn"])
            missing.discard(key)
            got = array.array("f", body)
            apart = distance(got, wanted[about["model"]][about["method"]])
            print(f"{pathlib.Path(about['model']).stem:16} {about['method']:22} {about['class']:12} {apart:.1e} of the peak")
            if not apart <= BOUND:
                problems.append(f"{key}: {apart} of the peak")
        else:
            done = json.loads(body)
            print("computed by", *sorted(set(done["devices"])))
            print("the page:", done["page"])
            if not done["page"].startswith("1 maps in "):
                problems.append(f"the page with a sample: {done['page']}")
            for told, named in zip(done["refusals"], REFUSALS, strict=True):
                print("refused:", told)
                if named not in told:
                    problems.append(f"{told!r} does not name {named}")
    problems += [f"{key}: no map" for key in sorted(missing)]
    if problems:
        sys.exit("\n".join(["FAILED", *problems]))
    print("all maps agree")


main()
