"""The tables of benches/RESULTS.md, from what `fluoroscope bench --json` said."""
# Steps whose time is that of multiply-adds.
CONVOLUTIONS = ("conv2d_", "depthwise_")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def number(value):
    return "-" if value is None else f"{value:.0f}"


def rows(facts, runs):
    """A section for each backend with a device; a run whose check failed has no figures."""
    runs = [run for run in runs if run["batch_agrees"] and all(step["passed"] for step in run["steps"])]
    for run in runs:
        if run["precision"] != "f32":
            run["network"] += f" in {run['precision']}"
    by = {name: [run for run in runs if run["backend"] == name] for name in ("cuda", "wgpu")}
    folder = facts.get("folder") or {}
    commit = (folder.get("commit") or "unknown")[:12] + (" (modified)" if folder.get("modified") else "")
    built = f"commit {commit}, {folder.get('profile', 'unknown')} build."
    lines, device = [], facts.get("device")
    if device:
        what = f"Compute capability {device['compute_capability']}, driver for CUDA {facts['driver']}; {built}"
        lines += [f"### {device['name']}, CUDA", "", what, "", *section(by["cuda"], [])]
    if "vulkan" in facts:
        adapter = facts["vulkan"]["adapter"]
        # Times of another device are no measure.
        same = device and device["name"] == adapter["name"]
        lines += [f"### {adapter['name']}, wgpu", "", f"{adapter['api']}, driver {adapter['driver']}; {built}", "",
                  *section(by["wgpu"], by["cuda"] if same else [])]
    return "\n".join(lines)


def section(runs, cuda):
    """The tables of one backend, with the ratio to the times by CUDA, if there are any."""
    return [*roofs(runs), *times(runs, cuda), *halves(runs), *kernels(runs), *convolutions(runs), *longest(runs)]


def peak(run):
    """Of f32 by multiply-adds, or as three products of tf32; of halves by theirs, where there are units for them."""
    roof = run["roof"]
    units = roof["matrix_gflops"]
    return max(roof["gflops"], units.get(run["precision"], units.get("tf32", 0) / 3))


def roofs(runs):
    cells = []
    for network, roof in {run["network"]: run["roof"] for run in runs if run.get("roof")}.items():
        matrix = [number(roof["matrix_gflops"].get(of)) for of in ("tf32", "f16", "bf16")]
        cells.append([network, number(roof["gflops"]), *matrix, number(roof["gbytes"])])
    return table(["roof, measured before", "f32 GFLOP/s", "tf32", "f16", "bf16", "copy GB/s"], cells)


def times(runs, cuda):
    head = ["network", "method", "batch", "ms", "heatmaps/s", "MB"]
    by_cuda = {(run["network"], run["method"], run["batch"]): run["milliseconds"] for run in cuda}
    cells = []
    for run in runs:
        key, ms = (run["network"], run["method"], run["batch"]), run["milliseconds"]
        cells.append([*key, f"{ms:.3f}", f"{run['heatmaps_per_second']:.1f}", number(run["memory"]["total"] / 1e6)])
        if cuda:
            cells[-1].append(f"{ms / by_cuda[key]:.2f}" if key in by_cuda else "-")
    return table(head + ["ms / CUDA's ms"] * bool(cuda), cells)


def halves(runs):
    """How near the maps in halves come to those of f64."""
    cells = [[run["network"], run["method"], run["batch"], *(run["agreement"][of] for of in ("cosine", "relative_l2"))]
             for run in runs if run["precision"] != "f32"]
    head = ["network", "method", "batch", "cosine with f64", "relative L2 error"]
    return table(head, [[*row[:3], *map(shortly, row[3:])] for row in cells]) if cells else []


def shortly(value):
    return "-" if value is None else f"{value:.3g}"


def kernels(runs):
    cells = []
    for run in runs:
        for kernel, total in sorted(run["kernels"].items(), key=lambda item: -item[1]["share"]):
            if total["share"] >= 0.05:
                cells.append([run["network"], run["method"], run["batch"], kernel, total["steps"],
                              number(total["microseconds"]), f"{100 * total['share']:.0f} %", number(total["gflops"]),
                              number(total["gbytes"])])
    head = ["network", "method", "batch", "kernel", "steps", "us", "share", "GFLOP/s", "GB/s"]
    return ["Kernels with a twentieth of the time or more:", "", *table(head, cells)]


def convolutions(runs):
    """A row for each shape of a network's first method, a column for each batch."""
    first, sums = {}, {}
    batches = sorted({run["batch"] for run in runs})
    for run in runs:
        if first.setdefault(run["network"], run["method"]) != run["method"] or not run.get("roof"):
            continue
        for step in (step for step in run["steps"] if step["kernel"].startswith(CONVOLUTIONS)):
            row = sums.setdefault((run["network"], run["method"], step["kernel"], step["what"]), {})
            cell = row.setdefault(run["batch"], {"work": 0, "time": 0, "peak": peak(run)})
            cell["work"] += step["gflops"] * step["microseconds"]
            cell["time"] += step["microseconds"]

    def share(cell):
        return f"{100 * cell['work'] / cell['time'] / cell['peak']:.1f} %" if cell else "-"

    cells = [[*key, *(share(row.get(batch)) for batch in batches)] for key, row in sums.items()]
    head = ["network", "method", "kernel", "shape", *(f"batch {batch}" for batch in batches)]
    return ["Convolutions, in percent of the roof of their precision:", "", *table(head, cells)]


def longest(runs):
    steps = {}
    for run in runs:
        for step in run["steps"]:
            steps.setdefault((run["network"], run["batch"], step["kernel"], step["what"]), step)
    found = sorted(steps.items(), key=lambda item: -item[1]["microseconds"])[:40]
    cells = [[*key, f"{step['microseconds']:.1f}", number(step["gflops"]), number(step["gbytes"]),
              number(step["percent_of_roof"]) + " %"] for key, step in found]
    head = ["network", "batch", "kernel", "shape", "us", "GFLOP/s", "GB/s", "of the roof"]
    return ["The longest steps:", "", *table(head, cells)]
