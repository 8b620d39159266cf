# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.device import get_device
from torch.nn import functional as F

from mmloc.engine.launch import require
from mmloc.utils.cli import building

from .networks import read_config


def build_inferencer(config: str,
                     checkpoint: str,
                     start: str | None = None,
                     options: dict | None = None,
                     device: str | None = None) -> DetInferencer:
    """Build mmdet's inferencer from a config of mmloc.

    Args:
        config (str): A detector's config, a file or ``package::path``.
        checkpoint (str): Path or address of its trained weights.
        start (str, optional): The start that it was trained with, since
            starts differ in colour order and layers. Defaults to None.
        options (dict, optional): Settings with dotted keys that replace
            those of the config. Defaults to None.
        device (str, optional): Defaults to None, for the GPU if there is
            one.

    Returns:
        DetInferencer: Call it with images, see mmdet.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The config is none of a detector or cannot be built.
    """
    cfg = read_config(config, checkpoint, start, options)
    require(cfg, 'test_dataloader', 'visualizer')
    # All weights come from the checkpoint.
    cfg.model.backbone.init_cfg = None
    with building(f'detections of {config}'):
        return DetInferencer(
            cfg, checkpoint, device or get_device(), show_progress=False)


def draw_detected(inferencer: DetInferencer,
                  image: np.ndarray,
                  score_thr: float = 0.3,
                  side: int = 640) -> tuple[np.ndarray, DetDataSample]:
    """Detect objects in an image and draw them by mmdet's visualizer.

    Args:
        inferencer (DetInferencer): Of :func:`build_inferencer`.
        image (np.ndarray): (H, W, 3), uint8, BGR.
        score_thr (float): Detections below it are not drawn.
            Defaults to 0.3.
        side (int): Smaller images are drawn enlarged, so that their longer
            side has as many pixels. Defaults to 640.

    Returns:
        tuple[np.ndarray, DetDataSample]: The picture, uint8, BGR, and what
        was found, in pixels of ``image``.
    """
    found = inferencer(
        image, return_datasamples=True, pred_score_thr=score_thr)
    sample, = found['predictions']
    factor = max(1, side / max(image.shape[:2]))
    size = [round(n * factor) for n in image.shape[1::-1]]
    if factor > 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    visualizer = inferencer.visualizer
    visualizer.add_datasample(
        'detections',
        np.ascontiguousarray(image[..., ::-1]),
        _enlarged(sample, size, factor),
        draw_gt=False,
        pred_score_thr=score_thr)
    return np.ascontiguousarray(visualizer.get_image()[..., ::-1]), sample


def _enlarged(sample: DetDataSample, size: list[int],
              factor: float) -> DetDataSample:
    """Copy a sample with its boxes and masks enlarged."""
    sample = sample.clone()
    found = sample.pred_instances
    found.bboxes = found.bboxes * factor
    if 'masks' in found and len(found):
        masks = torch.as_tensor(found.masks)[None].float()
        found.masks = F.interpolate(masks, size[::-1])[0] > 0.5
    return sample
