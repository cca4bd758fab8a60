#!/usr/bin/env python3
"""Fluoroscope against PyTorch by hand ("plain"), Captum and Zennit: one run, turn by turn, on one network and one batch.

    benches/peers.py --archs resnet50,vgg16,densenet121 --batches 1,4 --threads 2
    benches/peers.py --device cuda --batches 1,32 --rounds 20

`harness.py` beside this file builds the torchvision networks (fixed seed, calibrated batch norms) and one call for each
peer and method; it needs torch, torchvision, onnx, captum and zennit. This script exports the same network to ONNX, starts `cargo bench --bench methods
-- --serve`, and for every method lets all sides make a map in turn; the first maps are compared, then `--rounds` turns
are timed. Figures are medians; ratios are medians over turns. Prints Markdown. `--server` names that benchmark where it is
built and there is no cargo. With `--device cuda` the peers' images lie on the device before they are timed and their maps stay
there, ours come from and go to the host; their memory is what PyTorch allocated at most.
"""
import argparse, contextlib, copy, ctypes, gc, importlib.util, json, os, statistics, subprocess, sys, tempfile, time, warnings

OURS = {"saliency": "saliency", "guided_backprop": "guided-backprop", "deconvnet": "deconvnet", "grad_cam": "grad-cam",
        "guided_grad_cam": "guided-grad-cam", "lrp_epsilon": "lrp-epsilon", "lrp_epsilon_plus_flat": "epsilon-plus-flat",
        "deeplift": "deeplift"}


class Server:
    """Our side, in a process of its own."""

    def __init__(self, model, args):
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        start = [args.server] if args.server else ["cargo", "bench", "-q", "--bench", "methods", "--"]
        command = [*start, "--serve", model, str(args.threads)]
        environment = os.environ | {"FLUOROSCOPE_BACKEND": args.backend or args.device}
        self.process = subprocess.Popen(command, cwd=here, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def call(self, method, source, target=None):
        self.process.stdin.write(json.dumps({"method": OURS[method], "input": source, "map": target}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the benchmark process ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peers_of(harness, shipped, fold, arch, method, x, t, args, stack):
    """(name, call) for every peer that has the method."""
    import torch
    out = []
    try:
        plain = copy.deepcopy(fold).to(args.device, memory_format=torch.channels_last)
        out.append(("plain", harness.plain_method(plain, method, x, t, args, arch, lambda s: s)))
    except NotImplementedError:
        pass
    for peer in ("captum", "zennit"):
        try:
            if peer == "captum":
                from captum.attr._utils.custom_modules import Addition_Module
                # Layers keep their names only in the network as shipped, which a CAM's hooks read correctly.
                model = copy.deepcopy(shipped) if method == "grad_cam" else harness.repaired(shipped, Addition_Module)
            else:
                model = harness.repaired(fold, harness.zennit_sum())
            model = model.requires_grad_(False).to(args.device, memory_format=torch.channels_last)
            if peer == "captum":
                out.append((peer, harness.captum_method(model, method, x, t, args, arch)))
            else:
                out.append((peer, harness.zennit_method(model, method, x, t, args, arch, stack)))
        except NotImplementedError:
            pass
    return out


def difference(a, b):
    """Relative L2 distance of two maps, a ReLU on both where one side clamps its CAM."""
    a, b = a.double(), b.detach().double().cpu()
    if a.shape != b.shape:
        return None
    if b.min() >= 0 > a.min():
        a = a.clamp(min=0) if b.shape[1] == 1 else a.abs()
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def held(device, reset=False):
    """Bytes that this process took at most since the last reset, and takes now."""
    import torch
    if device == "cpu":
        return HARNESS.rss(reset=reset)
    torch.cuda.synchronize()
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated(), torch.cuda.memory_allocated()


def row(server, calls, method, source, folder, args):
    import numpy, torch
    finish = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    path = os.path.join(folder, "map.npy")
    ours = server.call(method, source, path)
    reference = torch.from_numpy(numpy.load(path))
    times, errors, memory = {"ours": []}, {}, {}
    for name, call in calls:
        try:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            before = held(args.device, reset=True)[1]
            errors[name] = difference(reference, call())
            memory[name] = held(args.device)[0] - before
            times[name] = []
        except Exception as error:  # a peer that fails is a result
            errors[name] = f"{type(error).__name__}"
    for _ in range(args.rounds):
        times["ours"].append(server.call(method, source)["seconds"])
        for name, call in calls:
            if name in times:
                finish()
                start = time.perf_counter()
                call()
                finish()
                times[name].append(time.perf_counter() - start)
    return ours, times, errors, memory


def report(arch, batch, method, ours, times, errors, memory):
    median = statistics.median
    cells = [f"{arch} b{batch}", method, f"{median(times['ours']) * 1e3:.0f}", f"{ours['slot_bytes'] / batch / 1e6:.0f}"]
    for peer in ("plain", "captum", "zennit"):
        if times.get(peer):
            ratio = median(b / a for a, b in zip(times["ours"], times[peer]))
            # Their CAMs are clamped before they are upsampled, ours come raw and are clamped for the comparison.
            wrong = errors[peer] is None or not errors[peer] <= (0.5 if method == "grad_cam" else 0.1)
            cells += [f"{median(times[peer]) * 1e3:.0f}", f"{ratio:.2f}" + (" (wrong)" if wrong else ""),
                      f"{memory[peer] / batch / 1e6:.0f}", "-" if errors[peer] is None else f"{errors[peer]:.0e}"]
        else:
            cells += [errors.get(peer, "-"), "-", "-", "-"]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--harness", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness.py"))
    parser.add_argument("--archs", default="resnet50,vgg16,densenet121")
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--methods", default=",".join(OURS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--backend", choices=["cpu", "cuda", "wgpu"], help="what ours runs on [default: as --device]")
    parser.add_argument("--server", help="the built benchmark `methods`, in place of cargo")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.ig_steps, args.ig_chunk = 32, 16
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    warnings.filterwarnings("ignore")
    spec = importlib.util.spec_from_file_location("bench_peers", args.harness)
    global HARNESS
    HARNESS = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(HARNESS)
    import numpy, torch
    torch.set_num_threads(args.threads)
    # f32 on both sides.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print("Milliseconds a batch; x = peer's time over ours; MB = extra memory an image; L2 = distance of the maps.\n")
    head = ["network", "method", "ours ms", "MB"]
    for peer in ("plain", "Captum", "Zennit"):
        head += [f"{peer} ms", "x", "MB", "L2"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
    for arch in args.archs.split(","):
        shipped = HARNESS.build(arch, args.seed).requires_grad_(False)
        args.shipped = shipped
        fold = HARNESS.folded(shipped)
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "model.onnx")
            example = torch.zeros(1, 3, 224, 224)
            torch.onnx.export(shipped, (example,), model, dynamo=False, input_names=["x"],
                              dynamic_axes={"x": {0: "n"}})
            server = Server(model, args)
            for batch in map(int, args.batches.split(",")):
                x = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(args.seed + 1))
                source = os.path.join(folder, f"x{batch}.npy")
                numpy.save(source, x.numpy())
                x = x.to(args.device).contiguous(memory_format=torch.channels_last)
                t = torch.zeros(batch, dtype=torch.long, device=args.device)
                for method in args.methods.split(","):
                    with contextlib.ExitStack() as stack:
                        calls = peers_of(HARNESS, shipped, fold, arch, method, x, t, args, stack)
                        result = row(server, calls, method, source, folder, args)
                        report(arch, batch, method, *result)
                        del calls
                        gc.collect()
            server.close()


if __name__ == "__main__":
    main()
