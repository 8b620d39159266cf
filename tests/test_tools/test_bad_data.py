# Copyright (c) mmloc contributors. All rights reserved.
"""tools/train.py with everything wrong at once: bad files and bad numbers."""
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmloc.proposals import write_proposals

ROOT = Path(__file__).resolve().parents[2]
POISON = """
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

@TRANSFORMS.register_module()
class Poison(BaseTransform):
    '''Multiply the views of some images by infinity: 0 becomes NaN.'''

    def transform(self, results):
        for view, sample in results['data_samples'].items():
            if 'poison' in sample.img_path:
                results['inputs'][view] = results['inputs'][view] * {factor}
        return results
"""
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['poison_transform'])
train_pipeline = [*_base_.train_pipeline, dict(type='Poison')]
{more}
source = dict(data_root={images!r}, data_prefix=dict(img=''),
              on_corrupt='skip', max_corrupt={max_corrupt})
train_dataloader = dict(batch_size=4, num_workers=2, dataset=source)
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
custom_hooks = [
    dict(hook, interval=2) if 'Collapse' in hook['type'] else hook
    for hook in _base_.custom_hooks]
"""
INSLOC = """
paste = dict(canvas=(32, 32), width_range=(12, 30))
train_pipeline[0].query[0].update(paste)
train_pipeline[0].key[0].update(paste)
model = dict(head=dict(queue=dict(length=32)), bn_splits=1)
"""
SOCO = """
train_pipeline[1].proposal_file = {file!r}
train_pipeline[-2].views.view1.transforms[0].scale = (48, 48)
train_pipeline[-2].views.view2.transforms[0].scale = 48
train_pipeline[-2].views.view3.transforms[0].scale = 32
model = dict(head=dict(thresholds=(12, 24, 36, 48)))
"""
SOURCES = dict(
    insloc='dict(dataset=source, pipeline=train_pipeline)',
    soco='dict(source, pipeline=train_pipeline)')


def _bomb():
    """A PNG of some bytes that says it has 10 000 million pixels."""
    def chunk(kind, data):
        return (struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data)))

    header = struct.pack('>IIBBBBB', 100000, 100000, 8, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(bytes(99))) + chunk(b'IEND', b''))


@pytest.fixture
def images(tmp_path):
    """32 images, two of them to be poisoned, and one bad file of each kind."""
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(32):
        coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        name = f'{"poison" if i in (3, 9) else "good"}{i}.jpg'
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (64, 64)))
    whole = (folder / 'good0.jpg').read_bytes()
    (folder / 'bad_truncated.jpg').write_bytes(whole[:len(whole) // 2])
    (folder / 'bad_empty.jpg').write_bytes(b'')
    (folder / 'bad_text.jpg').write_text('<html>404</html>')
    (folder / 'bad_bomb.png').write_bytes(_bomb())
    (folder / 'bad_missing.jpg').symlink_to('nowhere.jpg')
    os.mkfifo(folder / 'bad_pipe.jpg')
    return folder


def _train(tmp_path, images, method, max_corrupt, factor):
    (tmp_path / 'poison_transform.py').write_text(
        POISON.format(factor=factor))
    file = str(tmp_path / 'a.mmprop')
    box = np.float32([[4, 4, 44, 44], [10, 20, 50, 60]])
    write_proposals(file, [(p.name, 64, 64, box) for p in images.iterdir()
                           if not p.name.startswith('bad')], {})
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.replace('dataset=source)',
                                     f'dataset={SOURCES[method]})').format(
        base=str(ROOT / f'configs/{method}/{method}_r18_fpn_toy.py'),
        more=dict(insloc=INSLOC, soco=SOCO)[method].replace(
            '{file!r}', repr(file)), images=str(images),
        max_corrupt=max_corrupt))
    return subprocess.run(
        [sys.executable, ROOT / 'tools/train.py', config, '--work-dir',
         tmp_path / 'run', '--seed', '0'],
        capture_output=True, text=True, timeout=300, check=False,
        env=dict(os.environ, PYTHONPATH=str(tmp_path), OMP_NUM_THREADS='1'))


@pytest.mark.slow
@pytest.mark.parametrize('method', ['insloc', 'soco'])
def test_training_survives(tmp_path, images, method):
    done = _train(tmp_path, images, method, 6, "float('inf')")
    assert done.returncode == 0, done.stderr
    run, = (x for x in (tmp_path / 'run').iterdir() if x.is_dir())

    listed = (run / 'unreadable_images.txt').read_text().splitlines()
    names = {Path(line.split('\t')[0]).name for line in listed}
    assert names == {x.name for x in images.glob('bad*')}
    assert len(listed) == 6

    events = [json.loads(line) for line in
              (run / 'non_finite.jsonl').read_text().splitlines()]
    for event in events:
        bad = [Path(path).name for path in event['bad_images']]
        assert bad
        assert set(bad) <= {'poison3.jpg', 'poison9.jpg'}

    scalars = [json.loads(line) for line in
               (run / 'vis_data' / 'scalars.json').read_text().splitlines()]
    keys = dict(insloc=['neg_sim', 'queue_age'], soco=['target_std'])[method]
    for key in ('std', 'rank', 'pos_sim', *keys):
        assert key in scalars[-1]

    state = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)
    for name, value in state['state_dict'].items():
        assert value.isfinite().all(), name
    steps = {int(x['step']) for x in state['optimizer']['state'].values()}
    # Each iteration made a step, but for those.
    assert steps == {9 - len(events)}
    assert events
    log = next(run.glob('*.log')).read_text()
    assert 'By the end of epoch 1, 6 of 38 images could not be read' in log


@pytest.mark.slow
def test_training_stops_with_an_explanation(tmp_path, images):
    done = _train(tmp_path, images, 'insloc', 2, '1')
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    assert 'error: 3 of the 38 images could not be read, expected 2' in (
        done.stderr)
    assert '/bad_' in done.stderr
