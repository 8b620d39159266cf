# Copyright (c) mmloc contributors. All rights reserved.
from mmcv.transforms import LoadImageFromFile

from mmloc.registry import TRANSFORMS


class UnreadableImageError(RuntimeError):
    """An image file is missing, empty, truncated or no image.

    Args:
        message (str): The sentence for the user.
        img_path (str): The file.
        reason (str): What is wrong with it, in a few words.
    """

    # A data loader rebuilds a worker's error from the message alone.
    def __init__(self, message: str, img_path: str = '',
                 reason: str = '') -> None:
        super().__init__(message)
        self.img_path = img_path
        self.reason = reason


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with one error for every unreadable file.

    mmcv raises an ``AssertionError``, a ``cv2.error`` or a
    ``FileNotFoundError`` depending on what is wrong; this class raises
    :class:`UnreadableImageError` with a sentence that names the file, which
    ``UnlabeledImageDataset(on_corrupt='skip')`` catches.

    With mmcv's defaults (backend ``'cv2'``, colour type ``'color'``) every
    image becomes uint8 BGR of shape (H, W, 3): gray, palette and CMYK images
    are converted, 16 bits are scaled to 8, an alpha channel is dropped and
    the **EXIF orientation is applied**, so ``img_shape`` is that of the
    upright image and may differ from the size stored in a COCO json. Write
    ``color_type='color_ignore_orientation'`` to leave images as stored.
    OpenCV cannot decode TIFF images of 32-bit floats.

    A path may lead into a zip: ``zip://FOLDER/FILE.zip/MEMBER``.

    Required Keys:

    - img_path (str)

    Modified Keys:

    - img (np.uint8, (H, W, 3), BGR)
    - img_shape (tuple[int, int], (H, W))
    - ori_shape (tuple[int, int], (H, W))

    Args:
        **kwargs: Of :class:`mmcv.transforms.LoadImageFromFile`.

    Raises:
        UnreadableImageError: The file cannot be read as an image.
    """

    def transform(self, results: dict) -> dict:
        """Load the image.

        Args:
            results (dict): Holds ``img_path``.

        Returns:
            dict: With ``img``, ``img_shape`` and ``ori_shape``.
        """
        path = results['img_path']
        try:
            return super().transform(results)
        except Exception as error:
            reason = _fault(error)
            raise UnreadableImageError(
                f'Cannot read the image {path!r}: it {reason}; '
                "replace or remove the file, or set on_corrupt='skip' in "
                'the dataset to pass such files over.', path,
                reason) from error


def _fault(error: Exception) -> str:
    """Say in a few words what is wrong with a file."""
    if isinstance(error, FileNotFoundError):
        return 'does not exist'
    if isinstance(error, PermissionError):
        return 'may not be read by this user (permission denied)'
    if '!buf.empty()' in str(error):  # of OpenCV
        return 'is empty (0 bytes)'
    if 'CV_IO_MAX_IMAGE' in str(error):
        return ("has more pixels than OpenCV's limit "
                '(OPENCV_IO_MAX_IMAGE_PIXELS) allows')
    if isinstance(error, AssertionError):
        return 'is damaged, truncated or not an image that OpenCV can decode'
    return f'fails with {type(error).__name__}: {error}'.rstrip(': .\n')
