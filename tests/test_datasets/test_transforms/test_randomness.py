# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
from mmcv.transforms.utils import cache_random_params
from mmpretrain.datasets import ColorJitter as MMPretrainColorJitter

from mmloc.datasets.transforms import ColorJitter, RandomGrayscale


def test_draws_are_kept_within_the_context_only():
    grey = RandomGrayscale(prob=.5)
    pixels = np.random.RandomState(0).randint(0, 256, (2, 2, 3), np.uint8)

    def outcomes():
        return {(grey(dict(img=pixels))['img'] == pixels).all().item()
                for _ in range(20)}

    np.random.seed(0)
    assert outcomes() == {True, False}
    with cache_random_params(grey):
        assert len(outcomes()) == 1
    assert outcomes() == {True, False}


def test_inherited_draws_are_those_of_their_owner():
    draws = []
    for kind in (ColorJitter, MMPretrainColorJitter):
        np.random.seed(0)
        jitter = kind(.4, .4, .2, .1)
        order, *factors = jitter._rand_params()
        draws.append([*order, *factors])
    assert draws[0] == draws[1]
