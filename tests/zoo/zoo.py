"""Explains torchvision's classifiers with every method and checks logits, shapes and sums. See README.md beside it.

    python zoo.py [--binary PATH] [--models DIR] [--only NAME,NAME] [--output RESULTS.md]
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

NAMES = [
    "resnet18",
    "resnet50",
    "vgg16",
    "vgg16_bn",
    "densenet121",
    "googlenet",
    "inception_v3",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "mnasnet1_0",
    "regnet_y_400mf",
]
EXPORTERS = ["dynamo", "legacy"]
METHODS = [
    "saliency",
    "gradient",
    "input-x-gradient",
    "deconvnet",
    "guided-backprop",
    "cam",
    "grad-cam",
    "guided-grad-cam",
    "lrp-epsilon",
    "lrp-zplus",
    "epsilon-plus-flat",
    "deeplift",
    "integrated-gradients",
    "smoothgrad",
]
ONE_CHANNEL = {"cam", "grad-cam"}
LOGITS_LIMIT = 1e-4
# The error of an additive method in f32, relative to the largest of 1 and the expected sum.
DEEPLIFT_LIMIT = 1e-2
CONSERVATION_LIMIT = 1e-3


def size_of(name):
    return 299 if name == "inception_v3" else 224


def randomise(model, seed):
    """He-scaled weights and batch norms with scales about one."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    normal = lambda shape: torch.randn(shape, generator=generator)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                module.weight.copy_(normal(module.weight.shape) * math.sqrt(2 / module.weight[0].numel()))
                if module.bias is not None:
                    module.bias.copy_(0.05 * normal(module.bias.shape))
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.weight.copy_(0.8 + 0.4 * torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(0.1 * normal(module.bias.shape))


def calibrate(model, size):
    """Running statistics of batch norms from four images of noise."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        model(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1)))
    model.eval()


def export(name, exporter, path):
    import torch
    import torchvision

    options = {"weights": None}
    if name == "googlenet":
        options.update(init_weights=False, aux_logits=False)
    if name == "inception_v3":
        options.update(init_weights=False)
    model = getattr(torchvision.models, name)(**options).eval()
    randomise(model, NAMES.index(name))
    calibrate(model, size_of(name))
    image = torch.randn(1, 3, size_of(name), size_of(name), generator=torch.Generator().manual_seed(2))
    if exporter == "dynamo":
        torch.onnx.export(model, (image,), str(path), dynamo=True, verbose=False)
    else:
        names = {"input_names": ["input"], "output_names": ["logits"]}
        axes = {"input": {0: "n"}, "logits": {0: "n"}}
        torch.onnx.export(model, (image,), str(path), dynamo=False, dynamic_axes=axes, **names)


def image_of(name):
    generator = np.random.default_rng(3)
    return generator.standard_normal((1, 3, size_of(name), size_of(name))).astype(np.float32)


def explain(binary, model, image, folder, arguments):
    """The JSON records of all methods; a method that the model has no rule for is reported, not run."""
    array = folder / "image.npy"
    np.save(array, image)
    methods, refused = list(METHODS), {}
    while True:
        command = [binary, "explain", str(model), str(array), "-m", ",".join(methods), "-t", "top", "--json", "-q"]
        command += ["-o", str(folder / "maps"), "--format", "npy", *arguments]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0 and "cam" in methods and "CAM needs a head" in done.stderr:
            methods.remove("cam")
            refused["cam"] = done.stderr.strip().splitlines()[0]
            continue
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()[:300]}")
        return [json.loads(line) for line in done.stdout.splitlines()], refused, seconds


def check(binary, model, name, arguments):
    """One row of the table: figures and complaints."""
    image = image_of(name)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    want = session.run(None, {session.get_inputs()[0].name: image})[0].reshape(-1)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        records, refused, seconds = explain(binary, model, image, folder, arguments)
        of_method = {record["method"]: record for record in records}
        missing = set(METHODS) - set(of_method) - set(refused)
        if missing:
            problems.append(f"no map of {', '.join(sorted(missing))}")
        for method, record in of_method.items():
            [map_path] = [path for path in record["outputs"] if path.endswith(".npy")]
            heat = np.load(map_path)
            shape = (1 if method in ONE_CHANNEL else 3, size_of(name), size_of(name))
            if heat.shape[-3:] != shape or heat.size != np.prod(shape):
                problems.append(f"{method} has shape {heat.shape}")
            if not np.isfinite(heat).all():
                problems.append(f"{method} is not finite")
            if not heat.any():
                problems.append(f"{method} is all zero")
    scale = np.abs(want).max()
    target = records[0]["target"]
    if target != int(want.argmax()):
        problems.append(f"explains class {target}, onnxruntime's best is {int(want.argmax())}")
    # The report has the explained logit only: the best one, and by a second call the others of the best five.
    error = abs(records[0]["report"]["logit"] - want[target]) / scale
    error = max([error, *top_errors(binary, model, image, want, scale)])
    if not error <= LOGITS_LIMIT:
        problems.append(f"logits differ by {error:.1e}")
    deeplift = of_method["deeplift"]["report"]["completeness_error"]
    if not deeplift <= DEEPLIFT_LIMIT:
        problems.append(f"DeepLIFT misses its sum by {deeplift:.1e}")
    lrp = of_method["lrp-epsilon"]["report"]
    if not lrp["conservation_error"] <= CONSERVATION_LIMIT:
        problems.append(f"LRP-epsilon loses {lrp['conservation_error']:.1e} beside biases and epsilon")
    return {
        "logit": records[0]["report"]["logit"],
        "error": error,
        "methods": len(of_method),
        "absorbed": (lrp["to_biases"] + lrp["to_epsilon"]) / lrp["logit"],
        "conserved": lrp["conservation_error"],
        "deeplift": deeplift,
        "integrated": of_method["integrated-gradients"]["report"]["completeness_error"],
        "seconds": seconds,
        "refused": refused,
        "problems": problems,
    }


def top_errors(binary, model, image, want, scale):
    """Differences of the five best logits."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "image.npy", image)
        command = [binary, "explain", str(model), str(folder / "image.npy"), "-m", "grad-cam", "-t", "top:5"]
        command += ["--json", "-q", "-o", str(folder / "maps"), "--format", "npy"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()[:300]}")
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return [abs(record["report"]["logit"] - want[record["target"]]) / scale for record in records]


HEADER = """| model | exporter | logit | logits off by | maps | LRP-epsilon absorbed | and lost | DeepLIFT error | IG error | s | problems |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"""


def row(name, exporter, found):
    notes = list(found["problems"]) + [f"{method} refused: no such head" for method in found["refused"]]
    figures = [f"{found['logit']:.3f}", f"{found['error']:.1e}", str(found["methods"]), f"{found['absorbed']:.1%}"]
    figures += [f"{found['conserved']:.1e}", f"{found['deeplift']:.1e}", f"{found['integrated']:.1e}", f"{found['seconds']:.1f}"]
    return " | ".join(["| " + name, exporter, *figures, "; ".join(notes) or "none"]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--binary", default=str(root / "target/release/fluoroscope"))
    parser.add_argument("--models", type=pathlib.Path, default=root / "target/zoo", help="where exports are kept")
    parser.add_argument("--only", default=",".join(NAMES), help="names, separated by commas")
    parser.add_argument("--steps", type=int, default=8, help="points of integrated gradients")
    parser.add_argument("--samples", type=int, default=2, help="noisy copies of SmoothGrad")
    parser.add_argument("--output", type=pathlib.Path, help="also write the table here")
    options = parser.parse_args()
    options.models.mkdir(parents=True, exist_ok=True)
    arguments = ["--steps", str(options.steps), "--samples", str(options.samples)]
    lines, failed = [HEADER], False
    for name in options.only.split(","):
        for exporter in EXPORTERS:
            model = options.models / f"{name}.{exporter}.onnx"
            try:
                if not model.exists():
                    export(name, exporter, model)
                found = check(options.binary, model, name, arguments)
                line, bad = row(name, exporter, found), bool(found["problems"])
            except Exception as error:
                message = " ".join(str(error).split())
                line, bad = f"| {name} | {exporter} | | | | | | | | {message} |", True
            failed |= bad
            lines.append(line)
            print(line, file=sys.stderr, flush=True)
    about = f"Written by `zoo.py`: f32, integrated gradients on {options.steps} points, SmoothGrad on {options.samples} copies. "
    about += "Seconds are the wall clock of one call with all methods, loading included: no benchmark.\n\n"
    table = about + "\n".join(lines) + "\n"
    print(table)
    if options.output:
        options.output.write_text(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
