# Copyright (c) mmloc contributors. All rights reserved.
import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Turn half precision to float32; leave float32 and float64 as they are.

    Args:
        x (Tensor): Any shape.

    Returns:
        Tensor: Of the same shape.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
