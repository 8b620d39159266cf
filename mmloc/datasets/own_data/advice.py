# Copyright (c) mmloc contributors. All rights reserved.
"""How long, how fast and at which size to train: rules of thumb."""
from dataclasses import dataclass

from .findings import Findings

#: Of a method: images in a batch on one GPU, rate for 256 of them, epochs
#: published and most epochs advised.
_METHODS = {'insloc': (32, 0.03, 200, 800), 'soco': (64, 1.0, 100, 400)}
#: Steps that a pretraining and a detector's training should have.
_PRETRAIN_STEPS, _DETECTOR_STEPS = 50_000, 3_000
_LEAST_BATCH = 8
_DETECTOR_BATCH, _DETECTOR_EPOCHS = 8, 12
#: By how much the published detectors enlarge the images of COCO.
_ENLARGED = 5 / 3


@dataclass(frozen=True)
class Advice:
    """Settings that follow from the numbers and sizes of the images.

    Args:
        pretrain_batch (int): Images in a batch.
        pretrain_lr (float): Learning rate, linear in the batch.
        pretrain_epochs (int): Epochs.
        detector_batch (int): Images in a batch.
        detector_lr (float): Learning rate, linear in the batch.
        detector_iters (int): Iterations.
        side (int): Shorter side of the images of the detector in pixels.
    """
    pretrain_batch: int
    pretrain_lr: float
    pretrain_epochs: int
    detector_batch: int
    detector_lr: float
    detector_iters: int
    side: int


def advise(method: str, num_unlabeled: int, num_train: int, short_side: int,
           findings: Findings) -> Advice:
    """Choose settings for one GPU.

    They are the published ones for a batch that one GPU takes, longer where
    there are few images. Nothing of it has been tuned.

    Args:
        method (str): 'insloc' or 'soco'.
        num_unlabeled (int): Number of images without labels.
        num_train (int): Number of images with boxes to train on.
        short_side (int): Median of the shorter sides of these in pixels.
        findings (Findings): Gets what was chosen, or that it is impossible.

    Returns:
        Advice: The settings.
    """
    batch, rate, epochs, most = _METHODS[method]
    batch = min(batch, _power_of_two(num_unlabeled))
    if batch < _LEAST_BATCH:
        findings.add('wrong', f'{num_unlabeled} images to pretrain on',
                     f'at least {_LEAST_BATCH} are needed for a batch')
    epochs = min(max(epochs, _PRETRAIN_STEPS * batch // max(
        num_unlabeled, 1)), most)
    small = min(_DETECTOR_BATCH, _power_of_two(num_train))
    iters = max(_DETECTOR_STEPS, _DETECTOR_EPOCHS * num_train // small)
    side = min(max(round(short_side * _ENLARGED / 32) * 32, 320), 800)
    advice = Advice(batch, rate * batch / 256, epochs, small,
                    0.02 * small / 16, iters, side)
    steps = epochs * (num_unlabeled // batch)
    findings.add(
        'note', f'pretraining: {epochs} epochs of {num_unlabeled} images, '
        f'{steps} steps of {batch}, learning rate {advice.pretrain_lr:g}',
        'the published rate scaled to the batch; the number of epochs is a '
        'rule of thumb')
    findings.add(
        'note', f'detector: {iters} iterations of {small} images, '
        f'{iters * small / max(num_train, 1):.0f} passes, learning rate '
        f'{advice.detector_lr:g}, shorter side {side} px (median of the '
        f'images: {short_side})', 'a rule of thumb, too; with few images '
        'look at the validation for overfitting')
    return advice


def _power_of_two(number: int) -> int:
    """The largest power of two up to a number, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)
