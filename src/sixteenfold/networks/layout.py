"""How a network lies in memory."""

import torch
from torch import nn


def place(network: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Move a network, and lay the channels of a pixel side by side: the layout in which convolutions are fastest.

    Args:
        network: Changed where it stands.
        device: Where it is to be.
        dtype: What it is to calculate in; None leaves that as it is.
    """
    # PyTorch's types lack the argument.
    network.to(device, dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
