# Copyright (c) mmloc contributors. All rights reserved.
from torch import Tensor


def match_by_id(image_a: Tensor, id_a: Tensor, image_b: Tensor,
                id_b: Tensor) -> Tensor:
    """Tell which regions of two views show the same instance.

    Two regions match if they stem from the same image of the batch and carry
    the same instance id.

    Args:
        image_a (Tensor): Index of the image of each region of view a, shape
            (R_a, ).
        id_a (Tensor): Instance id of each region of view a, shape (R_a, ).
        image_b (Tensor): As ``image_a``, of view b, shape (R_b, ).
        id_b (Tensor): As ``id_a``, of view b, shape (R_b, ).

    Returns:
        Tensor: Boolean matrix of shape (R_a, R_b).
    """
    return ((image_a[:, None] == image_b[None]) &
            (id_a[:, None] == id_b[None]))
