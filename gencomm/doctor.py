"""What is there, and whether it works: the answer to the first failure of every installation."""

from __future__ import annotations

import importlib.util
import os
import platform
from typing import Any

import numpy as np

from channels.registry import PLUGINS_VARIABLE
from channels.spec import SpecError
from gencomm.codecs.registry import CODECS
from gencomm.isolation import CodecProcess, IsolationError, Limits
from gencomm.items import image_item, video_item
from gencomm.policy import Policy, clean_received, to_wire
from gencomm.sweeps.folder import cores, environment

#: A codec that is built without arguments is tried like this; the others need a rate.
RATE = "bpp=2"
#: A built-in codec that isn't there without an extra package is no fault.
OPTIONAL = frozenset({"jpegxl", "mjpeg", "mpeg2", "mpeg4", "h264", "hevc", "av1"})


def doctor() -> dict[str, Any]:
    """Look at Python, packages, processor, plug-ins, and send a small picture through each codec.

    Returns
    -------
    dict
        ``system``, ``packages``, ``plugins``, ``codecs`` (one dict each, ``verdict`` "ok" or what
        is wrong) and ``broken``: names of codecs that should work and don't.
    """
    about = environment()
    codecs = [_try(name) for name in CODECS.names()]
    broken = [c["codec"] for c in codecs if c["verdict"] != "ok" and c["codec"] not in OPTIONAL]
    return {
        "system": {
            "Python": f"{platform.python_version()} ({platform.python_implementation()})",
            "platform": platform.platform(),
            "cores": cores(),
            "GPU": _gpu(),
            "plug-ins": os.environ.get(PLUGINS_VARIABLE, "") or "let in",
        },
        "packages": about["packages"],
        "plugins": about["plugins"],
        "codecs": codecs,
        "broken": broken,
    }


def _gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return "not looked for (torch is not installed; nothing here needs it)"
    import torch

    if not torch.cuda.is_available():
        return "none that torch can use"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _try(name: str) -> dict[str, str]:
    found = {"codec": name, "origin": CODECS.entry(name).origin, "versions": "", "verdict": "ok"}
    try:
        spec = _spec(name)
        with CodecProcess(spec, Limits(seconds=10, encode_seconds=30)) as process:
            found["versions"] = ", ".join(f"{k} {v}" for k, v in process.versions.items())
            found["verdict"] = _verdict(process)
    except (SpecError, IsolationError) as error:
        found["verdict"] = str(error).split("\n")[0]
    return found


def _spec(name: str) -> str:
    """The codec without arguments, or at a generous rate where it needs one."""
    try:
        CODECS.create(name)
    except SpecError:
        CODECS.load(name)  # where it can't even be imported, that is the message
        return f"{name}({RATE})"
    return name


def _verdict(process: CodecProcess) -> str:
    if process.modality not in ("image", "video"):
        return "ok"
    y, x = np.mgrid[:64, :64]
    value = np.stack([2 * x + 60, 2 * y + 60, x + y + 60], axis=-1).astype(np.uint8)
    policy = Policy()
    if process.modality == "video":
        value = np.stack([value] * 3)
        item = video_item("gradient", value, 25)
    else:
        item = image_item("gradient", value)
    encoded = process.encode(item).encoded
    [outcome] = process.decode([clean_received(to_wire(encoded, policy), policy)], value.shape)
    if outcome.decoded.value is None:
        return f"its own stream gives {outcome.decoded.status}: {outcome.decoded.detail}"
    error = np.abs(outcome.decoded.value.astype(int) - value).mean()
    return "ok" if error < 16 else f"a smooth gradient comes back {error:.0f} levels off"
