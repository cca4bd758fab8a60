"""Vulkan on a machine that may lack parts of it: its loader, else that of lib/vulkan/; its manifests, else one for NVIDIA."""
import json
import os
import subprocess
import sys
from pathlib import Path

LOADER = "libvulkan.so.1"
SHIPPED = Path(__file__).resolve().parent / "lib/vulkan"
# Where loaders look for manifests, which name drivers.
FOLDERS = ["/etc/vulkan/icd.d", "/usr/local/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"]
# What replaces these, for loaders from 1.3.207 on, and for older ones.
NAMED_BY = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
# NVIDIA's driver is in both; the second needs no library of X.
DRIVERS = ["libGLX_nvidia.so.0", "libEGL_nvidia.so.0"]
# Loads a library, which can end a process, and says where it was.
LOAD = """
import ctypes, sys
name, symbol = sys.argv[1:]
getattr(ctypes.CDLL(name), symbol)
mapped = [line.split(None, 5)[-1].strip() for line in open("/proc/self/maps")]
print(next((path for path in mapped if name.split(".so")[0] in path), name))
"""


class Absent(Exception):
    """No adapter of hardware is seen, and why."""


def load(name, symbol, environment):
    """Where a library with a symbol is.

    Raises Absent where it cannot be loaded."""
    done = subprocess.run([sys.executable, "-c", LOAD, name, symbol], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Absent(f"{name} does not load ({last.removeprefix('OSError: ').removeprefix(f'{name}: ')})")
    return done.stdout.strip()


def loader(environment):
    """Where the loader is, and what must be set for it.

    Raises Absent where there is none."""
    symbol = "vkGetInstanceProcAddr"
    try:
        return load(LOADER, symbol, environment), {}
    except Absent as reason:
        if not (SHIPPED / LOADER).exists():
            raise Absent(f"{reason}, and this folder has none: apt-get install libvulkan1") from None
    folders = [str(SHIPPED), environment.get("LD_LIBRARY_PATH")]
    settings = {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, folders))}
    return load(LOADER, symbol, environment | settings), settings


def installed(environment):
    """The manifests that a loader finds by itself."""
    named = next((environment[name] for name in NAMED_BY if environment.get(name)), None)
    if named:
        return named.split(os.pathsep)
    return sorted(str(file) for place in FOLDERS for file in Path(place).glob("*.json"))


def write_manifest(driver, environment, folder):
    """A manifest for a library that is a driver.

    Raises Absent where it is none."""
    load(driver, "vk_icdGetInstanceProcAddr", environment)
    manifest = folder / f"{driver.split('.')[0]}.json"
    content = {"file_format_version": "1.0.0", "ICD": {"library_path": driver, "api_version": "1.3.0"}}
    manifest.write_text(json.dumps(content, indent=2) + "\n")
    return str(manifest)


def choose(listed, wanted):
    """Of what `fluoroscope devices` says of wgpu, the adapter of hardware called `wanted`, else the first.

    Raises Absent where there is none."""
    adapters = listed.get("devices", [])
    usable = [adapter for adapter in adapters if adapter["available"] and not adapter["software"]]
    if usable:
        return min(usable, key=lambda adapter: adapter["name"] != wanted)
    if not adapters:
        raise Absent(listed["reason"])
    why = {True: "computes on the CPU", False: "is unsuitable"}
    raise Absent(", ".join(f"{adapter['name']} {why[adapter['software']]}" for adapter in adapters))


def find(environment, folder, list_adapters, wanted):
    """What is used, and what must be set for it: an adapter of hardware, called `wanted` where there is one.

    `folder` takes a manifest where the machine lacks one for its driver; `list_adapters` gives what `fluoroscope devices`
    says of wgpu with some settings. Raises Absent."""
    path, common = loader(environment)
    reasons = []
    # A manifest that the user names is the only one.
    for driver in [None] if any(map(environment.get, NAMED_BY)) else [None, *DRIVERS]:
        try:
            settings = dict(common)
            manifests = installed(environment)
            if driver:
                manifests = [write_manifest(driver, environment | common, folder)]
                settings |= dict.fromkeys(NAMED_BY, manifests[0])
            adapter = choose(list_adapters(settings), wanted)
            return {"loader": path, "manifests": manifests, "adapter": adapter}, settings
        except Absent as reason:
            reasons.append(str(reason))
    raise Absent("; ".join(reasons) + f"; loader {path}")
