# Copyright (c) mmloc contributors. All rights reserved.
from mmdet.datasets.transforms import RandomCrop, Resize
from mmpretrain.datasets import RandomResizedCrop as MMPretrainCrop

from mmloc.registry import TRANSFORMS


class _CropAt(RandomCrop):
    """mmdet's crop, at a given place."""

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        super().__init__(crop_size=(width, height), allow_negative_crop=True)
        self.offset = (top, left)

    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        return self.offset


@TRANSFORMS.register_module()
class RandomResizedCrop(MMPretrainCrop):
    """mmpretrain's random resized crop that takes boxes along.

    The draw is mmpretrain's, which is torchvision's. mmdet's ``RandomCrop``
    and ``Resize`` carry it out, so that boxes, ids, masks and
    ``homography_matrix`` follow the pixels; boxes outside the crop are
    dropped. In Pillow the pixels are those of torchvision on Pillow images.

    **Required Keys:**

    - img (np.uint8): (H, W, 3).
    - gt_bboxes and what else mmdet's ``RandomCrop`` handles (optional).

    **Modified Keys:**

    - img, img_shape, and the optional ones.

    **Added Keys:**

    - homography_matrix (np.float32): (3, 3).
    - scale, scale_factor, keep_ratio: Of mmdet's ``Resize``.

    Args:
        scale (int or tuple[int, int]): Width and height of the result in
            pixels, as in mmdet's ``Resize``, or the side of a square.
        crop_ratio_range (tuple[float, float]): Range of the area of the crop
            relative to the image. Defaults to (0.08, 1.0).
        aspect_ratio_range (tuple[float, float]): Range of the crop's width
            over height, drawn log-uniformly. Defaults to (3 / 4, 4 / 3).
        max_attempts (int): After so many draws that do not fit the image the
            largest central crop within ``aspect_ratio_range`` is taken.
            Defaults to 10.
        backend (str): ``'pillow'`` (antialiased, as published) or ``'cv2'``
            (faster). Defaults to 'pillow'.

    Raises:
        ValueError: A range is empty.
    """

    def __init__(self,
                 scale: int | tuple[int, int],
                 crop_ratio_range: tuple[float, float] = (0.08, 1.0),
                 aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
                 max_attempts: int = 10,
                 backend: str = 'pillow') -> None:
        scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        super().__init__(
            scale=scale,
            crop_ratio_range=crop_ratio_range,
            aspect_ratio_range=aspect_ratio_range,
            max_attempts=max_attempts,
            backend=backend)
        self.resize = Resize(scale=scale, keep_ratio=False, backend=backend)

    def transform(self, results: dict) -> dict:
        """Crop and resize.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict with the view.
        """
        crop = _CropAt(*self.rand_crop_params(results['img']))
        return self.resize(crop(results))
