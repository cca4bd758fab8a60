#!/usr/bin/env python3
"""Exports the networks that are timed to ONNX, with random weights: times depend on shapes alone.

    benches/gpu/models.py FOLDER [--archs resnet50,vgg16,densenet121,efficientnet_b0]

Needs torch, torchvision and onnx. Batch norms are calibrated on noise, so that values stay finite through the network.
"""
import argparse
import sys
from pathlib import Path

ARCHS = "resnet50,vgg16,densenet121,efficientnet_b0"
SEED = 7


def network(arch):
    """A torchvision network in eval mode; its batch norms have the statistics of a batch of noise."""
    import torch
    import torchvision
    torch.manual_seed(SEED)
    model = getattr(torchvision.models, arch)(weights=None)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        model(torch.randn(8, 3, 224, 224))
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--archs", default=ARCHS)
    args = parser.parse_args()
    try:
        import onnx  # noqa: F401, the exporter needs it
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        sys.exit(f"{error}: pip install torch torchvision onnx")
    args.folder.mkdir(parents=True, exist_ok=True)
    for arch in args.archs.split(","):
        path = args.folder / f"{arch}.onnx"
        example = torch.zeros(1, 3, 224, 224)
        torch.onnx.export(network(arch), (example,), str(path), dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "n"}})
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}", flush=True)


if __name__ == "__main__":
    main()
