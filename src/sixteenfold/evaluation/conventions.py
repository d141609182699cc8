"""What a report says of how its figures came about."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy
import pyvips
import torch

import sixteenfold
from sixteenfold.evaluation.protocol import Protocol, Sources


def conventions(
    protocol: Protocol, sources: Sources, model: Mapping[str, str], weights: Sequence[str]
) -> dict[str, str]:
    """Every convention by its name.

    Args:
        protocol: What was compared of each picture.
        sources: Where the pictures came from.
        model: The facts of what enlarged; empty where finished results were given.
        weights: Where those of LPIPS were found, if any were needed.
    """
    where = "the whole picture" if protocol == "full" else "the centre 1000x1000"
    facts = {"protocol": f"{protocol}: {where} is compared; no border is cropped"}
    if sources.synthesize:
        facts["small pictures"] = (
            "made from the originals, cropped from the top left to a multiple of 16, by MATLAB's bicubic x1/16,"
            " rounded to 8 bits"
        )
    elif sources.lr is not None:
        facts["small pictures"] = (
            "given, and enlarged as read, grey or deep as they are; where x16 of them is not the original's size, their"
            " common area is compared"
        )
    facts["rounding"] = "all pictures are compared as 8-bit RGB; grey is repeated in three channels, alpha ignored"
    facts["colour"] = "values are compared as stored in the files; colour profiles are not applied"
    facts["intervals"] = "95 % percentile bootstrap over pictures, 10,000 resamples, seed 0"
    facts |= model or {"model": "none: finished results were given"}
    # What the packages say of themselves, not their metadata, which is missing where they were only copied.
    modules = (sixteenfold, numpy, pyvips, torch)
    packages = ", ".join(f"{module.__name__} {module.__version__}" for module in modules)
    facts["versions"] = f"{packages}, Python {platform.python_version()}"
    facts["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if weights:
        facts["weights of LPIPS"] = ", ".join(weights)
    return facts
