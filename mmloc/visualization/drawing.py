# Copyright (c) mmloc contributors. All rights reserved.
"""Boxes and contact sheets. Images are uint8 BGR of shape (H, W, 3)."""
import json
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmloc import photometric, resampling

#: Okabe and Ito's colours, told apart with every kind of colour vision; BGR.
PALETTE = {
    'orange': (0, 159, 230),
    'sky': (233, 180, 86),
    'green': (115, 158, 0),
    'yellow': (66, 228, 240),
    'blue': (178, 114, 0),
    'vermilion': (0, 94, 213),
    'purple': (167, 121, 204),
    'black': (0, 0, 0),
}
#: Of the boxes of each level of a feature pyramid, the finest first.
LEVEL_COLORS = ('yellow', 'sky', 'green', 'purple')
#: Of the JPEGs that are written: no visible loss at a third of the size.
JPEG_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 90]
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def view_pixels(sample: dict, name: str) -> np.ndarray:
    """Take the pixels of a view as the model will see them.

    What the loader has drawn and left to the data preprocessor is carried
    out: crop, resize, flip and changes of colours.

    Args:
        sample (dict): What a dataset returns: ``inputs`` {view: Tensor (3, H,
            W), uint8, BGR} and ``data_samples`` {view: DetDataSample}.
        name (str): The view.

    Returns:
        np.ndarray: (H, W, 3), uint8, BGR.

    Raises:
        TypeError: The pixels are not uint8, so they are normalised already.
    """
    view = sample['inputs'][name].numpy()
    if view.dtype != np.uint8:
        raise TypeError(
            f'The view is {view.dtype}, expected uint8; draw samples as the '
            'dataset returns them, before the data preprocessor.')
    data_sample = sample['data_samples'][name]
    view = resampling.carry_out(
        view.transpose(1, 2, 0), data_sample.get(resampling.KEY))
    vector = data_sample.get(photometric.KEY)
    return view if vector is None else photometric.apply(view, vector)


def as_array(value) -> np.ndarray:
    """Turn what a data sample holds into an array.

    Args:
        value (BaseBoxes | Tensor | np.ndarray): Boxes, labels or the like.

    Returns:
        np.ndarray: The same numbers.
    """
    return np.asarray(getattr(value, 'tensor', value))


def enlarge(image: np.ndarray, side: int) -> tuple:
    """Scale an image so that its longer side has ``side`` pixels.

    Args:
        image (np.ndarray): (H, W, 3).
        side (int): Pixels of the longer side.

    Returns:
        tuple[np.ndarray, float]: The image and the factor for its boxes.
    """
    factor = side / max(image.shape[:2])
    shape = [max(1, round(n * factor)) for n in image.shape[1::-1]]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, shape, interpolation=way), factor


def draw_boxes(image: np.ndarray,
               boxes: np.ndarray,
               color: str = 'yellow',
               labels: Sequence[str] | None = None,
               dashed: bool = False) -> np.ndarray:
    """Draw boxes with a dark rim, so that they show on every ground.

    Args:
        image (np.ndarray): (H, W, 3), left as it is.
        boxes (np.ndarray): (K, 4), xyxy in pixels; they may stick out.
        color (str): A name in :data:`PALETTE`. Defaults to 'yellow'.
        labels (Sequence[str], optional): One short text for each box.
        dashed (bool): Whether the lines are dashed. Defaults to False.

    Returns:
        np.ndarray: A copy with the boxes.
    """
    image = np.ascontiguousarray(image).copy()
    for i, box in enumerate(np.asarray(boxes, float).reshape(-1, 4)):
        left, top, right, bottom = (round(v) for v in box)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        for ink, width in ((PALETTE['black'], 4), (PALETTE[color], 2)):
            for start, end in zip(corners, corners[1:] + corners[:1]):
                _line(image, start, end, ink, width, dashed)
        if labels is not None:
            _label(image, labels[i], left, top, PALETTE[color])
    return image


def tile(images: Sequence[np.ndarray],
         columns: int,
         titles: Sequence[str] | None = None,
         gap: int = 6) -> np.ndarray:
    """Lay images out in a grid on white.

    Args:
        images (Sequence[np.ndarray]): (H, W, 3) each, of any sizes; a cell
            has the size of the largest.
        columns (int): Images in a row.
        titles (Sequence[str], optional): A line of text above each image;
            '' leaves it out.
        gap (int): Pixels between the cells. Defaults to 6.

    Returns:
        np.ndarray: The sheet.

    Raises:
        ValueError: There are no images.
    """
    if not images:
        raise ValueError('Got 0 images to lay out, expected at least one.')
    columns = min(columns, len(images))
    head = 18 if titles is not None and any(titles) else 0
    high = max(image.shape[0] for image in images) + head + gap
    wide = max(image.shape[1] for image in images) + gap
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * high + gap, columns * wide + gap, 3), 255,
                    np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * high + gap, i % columns * wide + gap
        if head:
            cv2.putText(sheet, titles[i], (left, top + 12), _FONT, 0.45,
                        (40, 40, 40), 1, cv2.LINE_AA)
        height, width = image.shape[:2]
        sheet[top + head:top + head + height, left:left + width] = image
    return sheet


def draw_legend(entries: dict[str, str], width: int,
                dashed: Sequence[str] = ()) -> np.ndarray:
    """Draw a line that says what the colours of boxes mean.

    Args:
        entries (dict[str, str]): Text -> name of the colour in
            :data:`PALETTE`.
        width (int): Pixels of the strip at least.
        dashed (Sequence[str]): The texts whose boxes are dashed.

    Returns:
        np.ndarray: A white strip, (26, W, 3), uint8, BGR.
    """
    sizes = [cv2.getTextSize(text, _FONT, 0.45, 1)[0][0] for text in entries]
    width = max(width, 14 + sum(size + 56 for size in sizes))
    strip = np.full((26, width, 3), 255, np.uint8)
    left = 14
    for size, (text, color) in zip(sizes, entries.items()):
        box = [left, 6, left + 24, 20]
        strip = draw_boxes(strip, [box], color, dashed=text in dashed)
        cv2.putText(strip, text, (left + 32, 18), _FONT, 0.45, (40, 40, 40),
                    1, cv2.LINE_AA)
        left += size + 56
    return strip


def save_image(image: np.ndarray, path: str) -> str:
    """Write an image; its folder is made if needed.

    Args:
        image (np.ndarray): (H, W, 3), uint8, BGR.
        path (str): The file, of the kind that its suffix says.

    Returns:
        str: The absolute path.

    Raises:
        ValueError: OpenCV cannot write such a file.
    """
    target = Path(path).expanduser().absolute()
    if not cv2.haveImageWriter(target.name):
        raise ValueError(f'Cannot write the image {str(path)!r}, expected a '
                         'name that ends in .png or .jpg.')
    target.parent.mkdir(parents=True, exist_ok=True)
    photo = target.suffix.lower() in ('.jpg', '.jpeg')
    if not cv2.imwrite(str(target), image, JPEG_OPTIONS if photo else []):
        raise ValueError(f'Cannot write the image {str(path)!r}; check the '
                         'permissions and the free space.')
    return str(target)


def draw_coco(ann_file: str,
              img_folder: str,
              num: int = 24,
              side: int = 256) -> np.ndarray:
    """Draw the first images of a COCO json with their boxes and classes.

    Args:
        ann_file (str): The json.
        img_folder (str): Folder of its images.
        num (int): How many images. Defaults to 24.
        side (int): Longer side of each in pixels. Defaults to 256.

    Returns:
        np.ndarray: A sheet with six images in a row.

    Raises:
        FileNotFoundError: An image is missing or cannot be read.
    """
    coco = json.loads(Path(ann_file).read_text())
    names = {cat['id']: cat['name'] for cat in coco['categories']}
    cells = []
    for info in coco['images'][:num]:
        path = str(Path(img_folder) / info['file_name'])
        image = cv2.imread(path)
        if image is None:
            raise FileNotFoundError(f'Cannot read the image {path!r} named by '
                                    f'{ann_file!r}; check the folder.')
        image, factor = enlarge(image, side)
        anns = [a for a in coco['annotations'] if a['image_id'] == info['id']]
        boxes = np.array([a['bbox'] for a in anns]).reshape(-1, 4) * factor
        boxes[:, 2:] += boxes[:, :2]
        cells.append(
            draw_boxes(
                image, boxes, labels=[names[a['category_id']] for a in anns]))
    return tile(cells, 6)


def _line(image, start, end, ink, width, dashed) -> None:
    """Draw a line along an axis, perhaps in dashes of 6 pixels."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    num = max(length // 12, 1) if dashed else 1
    cuts = np.linspace(start, end, 2 * num + 1) if dashed else (start, end)
    for a, b in zip(cuts[::2], cuts[1::2]):
        cv2.line(image, [round(v) for v in a], [round(v) for v in b], ink,
                 width)


def _label(image, text: str, left: int, top: int, ink: tuple) -> None:
    """Write on a dark ground above (left, top), moved inside the image."""
    width, height = cv2.getTextSize(text, _FONT, 0.4, 1)[0]
    x = max(min(left, image.shape[1] - width - 3), 0)
    y = max(top - 4, height + 3)
    cv2.rectangle(image, (x, y - height - 3), (x + width + 3, y + 3),
                  PALETTE['black'], cv2.FILLED)
    cv2.putText(image, text, (x + 2, y), _FONT, 0.4, ink, 1, cv2.LINE_AA)
