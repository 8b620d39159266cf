# Copyright (c) mmloc contributors. All rights reserved.
"""Time changes of images: Pillow, torchvision, the loader, the device.

Each operation (``resize`` is to half the side), and InsLoc's whole chain down
to the normalised tensor, in milliseconds per image. On the CPU all take turns
in one thread and its CPU time is taken. ``pillow`` is what the papers ran,
``torchvision`` works on uint8 tensors and gives other bytes, ``loader`` is
what our transforms call, and ``batch`` works on whole batches on the
``--device``; of the chain it is the data preprocessor, which on the CPU calls
what the loader calls, and ``draws`` is what is then left to the loader. Loader
and batch give Pillow's bytes, but for single levels of resizes. The last line
is JSON: the chain as in the papers, and by the loader or, on a GPU, by the
device.

    python tools/analysis_tools/benchmark_augmentation.py --images data/photos
    python tools/analysis_tools/benchmark_augmentation.py --device cuda \
        --batch-size 256
"""
import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image, ImageFilter
from plain_views import colours
from torchvision.transforms import functional as pillow
from torchvision.transforms.v2 import functional as tensors

from mmloc import photometric
from mmloc.datasets.toy_scene import draw_scene
from mmloc.photometric import batched, kernels
from mmloc.registry import MODELS
from mmloc.resampling import batched as resampling
from mmloc.resampling import resize_antialiased
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
SIGMA, FACTOR, TURN = 1.0, 1.2, 0.08


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--images', metavar='FOLDER',
        help='JPEG and PNG files; generated scenes if not given')
    add('--side', type=int, default=224, help='in pixels (default 224)')
    add('--batch-size', type=int, default=32, metavar='N')
    add('--rounds', type=int, default=5, metavar='N')
    add('--device', default='cpu', help='of the batches (default cpu)')
    add('--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    for name in ('side', 'batch_size', 'rounds'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} is below 1')
    return args


def read_images(folder: str | None, num: int, side: int) -> list[np.ndarray]:
    """Square images, BGR; those of a folder are repeated if it has few."""
    if folder is None:
        rng = np.random.default_rng(0)
        images = [draw_scene(rng, side).image for _ in range(min(num, 8))]
    else:
        paths = sorted(path for path in Path(folder).glob('*')
                       if path.suffix.lower() in ('.jpg', '.jpeg', '.png'))
        if not paths:
            raise FileNotFoundError(f'{folder!r} holds no JPEG or PNG file; '
                                    'name a folder that holds some.')
        images = [cv2.imread(str(path)) for path in paths[:num]]
    images = [cv2.resize(img, (side, side)) for img in images]
    return [images[i % len(images)] for i in range(num)]


def operations(side: int) -> dict[str, tuple[Callable, ...]]:
    """By name: of a Pillow image, a tensor, an array and a float batch, of
    this side."""
    turned = round(TURN * 255)

    def jitter(which: int, factor: float) -> tuple[Callable, Callable]:
        factors = list(photometric.NEUTRAL)
        factors[which] = factor
        return (lambda img: kernels.jitter(img, [which], factors),
                lambda x: batched.jitter(x, np.full((len(x), 1), which),
                                         np.tile(factors, (len(x), 1))))

    def blend(which: int, name: str) -> tuple[Callable, ...]:
        return (lambda img: getattr(pillow, name)(img, FACTOR),
                lambda x: getattr(tensors, name)(x, FACTOR),
                *jitter(which, FACTOR))

    def halved(x: torch.Tensor) -> torch.Tensor:
        plan = 0, 0, *x.shape[2:], *half, None
        return resampling.resample(list(x.byte()), [plan] * len(x))

    half = [max(side // 2, 1)] * 2
    blur, size = ImageFilter.GaussianBlur(SIGMA), [13, 13]
    return {
        'resize': (lambda img: img.resize(half, Image.Resampling.BILINEAR),
                   lambda x: tensors.resize(x, half),
                   lambda img: resize_antialiased(img, half), halved),
        'brightness': blend(0, 'adjust_brightness'),
        'contrast': blend(1, 'adjust_contrast'),
        'saturation': blend(2, 'adjust_saturation'),
        'hue': (lambda img: pillow.adjust_hue(img, TURN),
                lambda x: tensors.adjust_hue(x, TURN), *jitter(3, turned)),
        'grey': (lambda img: pillow.rgb_to_grayscale(img, 3),
                 lambda x: tensors.rgb_to_grayscale(x, 3), kernels.to_grey,
                 batched.to_grey),
        'blur': (lambda img: img.filter(blur),
                 lambda x: tensors.gaussian_blur(x, size, [SIGMA]),
                 lambda img: kernels.gaussian_blur(img, SIGMA),
                 lambda x: batched.gaussian_blur(x, [SIGMA] * len(x))),
        'solarize': (lambda img: pillow.solarize(img, 128),
                     lambda x: tensors.solarize(x, 128),
                     lambda img: kernels.solarize(img, 128),
                     lambda x: torch.where(x < 128, x, 255 - x)),
    }


class Chain:
    """InsLoc's colours of a batch, from bytes to normalised numbers.

    Args:
        images (list[np.ndarray]): BGR.
        device (torch.device): Of the batches.
    """

    def __init__(self, images: list[np.ndarray], device: torch.device) -> None:
        init_default_scope('mmdet')
        steps = Config.fromfile(
            CONFIGS / 'datasets' / 'insloc.py').view_pipeline
        steps = [step for step in steps if step['type'] != 'RandomFlip']
        self.images = images
        self.pillow = [Image.fromarray(img[..., ::-1]) for img in images]
        self.plain = colours(steps)
        self.now = Compose(steps)
        self.later = Compose([dict(type='mmloc.DeferPhotometric'), *steps])
        self.drawn = self._packed(self.draw())
        self.preprocess = MODELS.build(
            Config.fromfile(CONFIGS / 'models' / 'insloc_r50_fpn.py').model.
            data_preprocessor.data_preprocessor).to(device)

    def by_pillow(self) -> list:
        """As the papers did."""
        return [self.plain(img) for img in self.pillow]

    def by_loader(self) -> dict:
        """Change the colours image by image, then normalise the batch."""
        return self.preprocess(
            self._packed(self.now(dict(img=img)) for img in self.images))

    def by_preprocessor(self) -> dict:
        """Change the colours as they are drawn, and normalise."""
        return self.preprocess(self.drawn)

    def draw(self) -> list:
        """What is left to the loader if it only draws."""
        return [self.later(dict(img=img)) for img in self.images]

    @staticmethod
    def _packed(all_results: Iterable[dict]) -> dict:
        inputs, samples = [], []
        for result in all_results:
            img = result.pop('img')
            inputs.append(torch.from_numpy(img.transpose(2, 0, 1).copy()))
            samples.append(DetDataSample(metainfo=result))
        return dict(inputs=inputs, data_samples=samples)


def cpu_ms(function: Callable) -> float:
    """CPU time of this thread."""
    start = time.thread_time()
    function()
    return 1e3 * (time.thread_time() - start)


def device_ms(function: Callable) -> float:
    """Time of the GPU's queue from the first to the last operation."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def measure(tasks: dict[str, tuple[Callable, Callable]], rounds: int,
            num: int) -> dict[str, float]:
    """Median of the rounds, in ms per image; all take turns.

    Args:
        tasks (dict[str, tuple[Callable, Callable]]): By name, the clock and
            the function, which handles ``num`` images.
        rounds (int): How often each runs, after once for nothing.
        num (int): Images of a run.

    Returns:
        dict[str, float]: By name.
    """
    times: dict = {name: [] for name in tasks}
    for turn in track(range(rounds + 1), rounds + 1, 'rounds'):
        for name, (clock, function) in tasks.items():
            value = clock(function) / num
            if turn:
                times[name].append(value)
    return {name: statistics.median(x) for name, x in times.items()}


def tasks_of(images: list[np.ndarray], chain: Chain,
             device: torch.device) -> dict[str, tuple[Callable, Callable]]:
    """All that is measured."""
    clock = device_ms if device.type == 'cuda' else cpu_ms
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    singles = [img.flip(0).contiguous() for img in batch]
    batch = batch.to(device).float().contiguous()
    tasks = {}
    for name, functions in operations(len(images[0])).items():
        sources = dict(
            pillow=chain.pillow, torchvision=singles, loader=images)
        for function, (way, items) in zip(functions, sources.items()):
            tasks[f'{name} {way}'] = cpu_ms, (
                lambda f=function, x=items: [f(img) for img in x])
        tasks[f'{name} batch'] = clock, (
            lambda f=functions[-1]: f(batch.clone()))
    tasks['chain pillow'] = cpu_ms, chain.by_pillow
    tasks['chain loader'] = cpu_ms, chain.by_loader
    tasks['chain batch'] = clock, chain.by_preprocessor
    tasks['chain draws'] = cpu_ms, chain.draw
    return tasks


def main() -> None:
    """Measure and print."""
    args = parse_args()
    with user_errors(args.traceback):
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        np.random.seed(0)
        device = torch.device(args.device)
        images = read_images(args.images, args.batch_size, args.side)
        chain = Chain(images, device)
        result = measure(tasks_of(images, chain, device), args.rounds,
                         len(images))
        ways = ('pillow', 'torchvision', 'loader', 'batch', 'draws')
        print(f'{"ms per image":12}', *(f'{way:>12}' for way in ways))
        for name in dict.fromkeys(key.split()[0] for key in result):
            cells = (result.get(f'{name} {way}') for way in ways)
            print(f'{name:12}', *('{:>12}'.format(
                '' if cell is None else f'{cell:.3f}') for cell in cells))
        ours = result[
            'chain loader' if device.type == 'cpu' else 'chain batch']
        baseline = result['chain pillow']
        print(json.dumps(dict(
            ours=ours, baseline=baseline, ratio=baseline / ours,
            unit='ms per image', config='InsLoc, colours and normalisation',
            side=args.side, batch_size=args.batch_size,
            device=str(device), draws=result['chain draws'])))


if __name__ == '__main__':
    main()
