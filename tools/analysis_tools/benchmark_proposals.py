# Copyright (c) mmloc contributors. All rights reserved.
"""Time selective search against the package ``selectivesearch``.

That package, from PyPI, is the code that the published implementation grew
out of; it runs unchanged, with the same parameters. Both take turns on each
image in one process and one thread, and CPU seconds are counted, so that
other programs on the machine hardly matter. The published implementation
itself is stated by the CPU seconds that the reference set holds, against ours
on the set's images. The last line is JSON.

    pip install selectivesearch scikit-image
    python tools/analysis_tools/benchmark_proposals.py --images data/photos
"""
import argparse
import functools
import importlib.util
import json
import multiprocessing
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mmloc.datasets.toy_scene import draw_scene
from mmloc.proposals import selective_search
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track

PARAMS = dict(scale=300, sigma=0.9, min_size=100)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--images', metavar='FOLDER',
        help='JPEG and PNG files; generated scenes if not given')
    add('--num', type=int, default=20, metavar='N',
        help='images, spread evenly over the folder (default 20)')
    add('--repeats', type=int, default=3, metavar='N',
        help='times that ours is run on each image (default 3)')
    add('--reference', metavar='FOLDER',
        help='a reference set, such as tests/data/golden')
    add('--workers', type=int, nargs='*', default=[], metavar='N',
        help='also time ours in these numbers of processes')
    add('--memory', action='store_true',
        help='also measure the memory that 12 megapixels take')
    add('--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    if not importlib.util.find_spec('selectivesearch'):
        parser.error('the package to compare with is not installed; '
                     'pip install selectivesearch scikit-image')
    return args


def read_images(folder: str | None, num: int) -> list[np.ndarray]:
    """Read some images of a folder, or generate them."""
    if folder is None:
        rng = np.random.default_rng(0)
        return [np.ascontiguousarray(draw_scene(rng, 440).image[..., ::-1])
                for _ in range(num)]
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f'{folder!r} is no folder; name one that holds images.')
    paths = sorted(path for path in Path(folder).iterdir()
                   if path.suffix.lower() in ('.jpg', '.jpeg', '.png'))
    if not paths:
        raise FileNotFoundError(f'{folder!r} holds no JPEG or PNG file; name '
                                'a folder that holds some.')
    num = min(num, len(paths))
    return [read(paths[i * len(paths) // num]) for i in range(num)]


def read(path: Path) -> np.ndarray:
    """Read an image as RGB."""
    return np.array(Image.open(path).convert('RGB'))


def cpu_seconds(function: Callable, image: np.ndarray) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    function(image)
    return time.process_time() - start


def against_package(images: list, repeats: int) -> dict:
    """Compare with the package, image by image."""
    from selectivesearch import selective_search as package
    warnings.filterwarnings('ignore', 'Applying `local_binary_pattern`')
    theirs = functools.partial(package, **PARAMS)
    ours_seconds = theirs_seconds = 0.
    for image in track(images, len(images), 'images'):
        theirs_seconds += cpu_seconds(theirs, image)
        ours_seconds += sum(cpu_seconds(selective_search, image)
                            for _ in range(repeats)) / repeats
    return dict(
        ours=len(images) / ours_seconds,
        baseline=len(images) / theirs_seconds,
        ratio=theirs_seconds / ours_seconds,
        unit='images/s per core')


def against_reference(folder: str, repeats: int) -> dict:
    """Compare with the CPU seconds that a reference set holds."""
    case = json.loads((Path(folder) / 'selective_search.json').read_text())
    ours = theirs = 0.
    for entry in case['images']:
        image = read(Path(folder) / entry['file'])
        theirs += entry['cpu_seconds']
        ours += sum(cpu_seconds(selective_search, image)
                    for _ in range(repeats)) / repeats
    num = len(case['images'])
    return dict(ours=num / ours, baseline=num / theirs, ratio=theirs / ours)


def over_workers(images: list, numbers: list[int]) -> dict:
    """Images per second of wall time in some numbers of processes."""
    rates = {}
    for number in numbers:
        with multiprocessing.get_context('fork').Pool(number) as pool:
            start = time.monotonic()
            pool.map(selective_search, images, chunksize=1)
            rates[number] = len(images) / (time.monotonic() - start)
    return rates


def peak_memory() -> dict:
    """Memory in MB that 4000 x 3000 pixels take, the image included."""
    selective_search(np.zeros((64, 64, 3), np.uint8))
    before = memory('VmRSS')
    rng = np.random.default_rng(0)
    image = draw_scene(rng, 1000).image[:750].repeat(4, 0).repeat(4, 1)
    for rows in np.array_split(image, 100):
        rows += rng.integers(0, 9, rows.shape, np.uint8)
    Path('/proc/self/clear_refs').write_text('5')  # start the peak anew
    start = time.process_time()
    boxes = selective_search(image)
    return dict(
        peak_mb=memory('VmHWM') - before, num_boxes=len(boxes),
        cpu_seconds=time.process_time() - start)


def memory(name: str) -> float:
    """A figure of this process in MB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines
                if line.startswith(name))


def main() -> None:
    """Run what was asked for, and print the figures."""
    args = parse_args()
    with user_errors(args.traceback):
        images = read_images(args.images, args.num)
        start = time.process_time()
        selective_search(images[0])
        first_call = time.process_time() - start
        figures = against_package(images, args.repeats)
        figures['first_call_cpu_seconds'] = first_call
        if args.reference:
            figures['reference'] = against_reference(
                args.reference, args.repeats)
        if args.workers:
            figures['images_per_second_by_workers'] = over_workers(
                images, args.workers)
        if args.memory:
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                figures['12_megapixels'] = pool.apply(peak_memory)
        pixels = sum(image[..., 0].size for image in images) / len(images)
        figures['config'] = dict(
            **PARAMS, images=args.images or 'generated', num=len(images),
            repeats=args.repeats, megapixels=pixels / 1e6)
        print(json.dumps(figures, default=float))


if __name__ == '__main__':
    main()
