# Copyright (c) mmloc contributors. All rights reserved.
"""The shipped C4 detector: what it shares, trains on, and takes over."""
from pathlib import Path

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS

from mmloc.engine import compare_state_dicts

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'soco'


@pytest.fixture
def cfg():
    register_all_modules(init_default_scope=True)
    return Config.fromfile(
        CONFIGS / 'downstream' / 'mask-rcnn_r50-soco-pre_c4_1x_coco.py')


def _batch(model):
    batch = demo_mm_inputs(2, [[3, 64, 96], [3, 80, 64]], with_mask=True)
    return model.data_preprocessor(batch, True)


def test_boxes_and_masks_train_the_whole_shared_stage(cfg):
    cfg.model.train_cfg.rcnn.sampler.num = 8
    cfg.model.test_cfg.rpn.max_per_img = 8
    cfg.model.test_cfg.rcnn.update(score_thr=0., max_per_img=4)
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    shared, masked = [], []
    stage = model.roi_head.shared_head
    stage.register_forward_hook(lambda m, args, out: shared.append(out))
    model.roi_head.mask_head.register_forward_pre_hook(
        lambda m, args: masked.append(args[0]))

    losses = model(**_batch(model), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    # Boxes and masks have the same features, normalized.
    (regions, ), (positives, ) = shared, masked
    assert regions.shape == (len(regions), 2048, 7, 7)
    assert any(torch.equal(positives[0], region) for region in regions)
    means = regions.mean((0, 2, 3))
    torch.testing.assert_close(means, torch.zeros(2048), atol=1e-4, rtol=0)

    model.eval()
    for sample in model(**_batch(model), mode='predict'):
        found = sample.pred_instances
        assert [*found.masks.shape[1:]] == sample.ori_shape[:2]
        assert len(found.masks) == len(found.bboxes) == 4


def test_proposals_are_as_many_as_published(cfg):
    train, test = cfg.model.train_cfg, cfg.model.test_cfg.rpn
    proposals = train.rpn_proposal
    assert (proposals.nms_pre, proposals.max_per_img) == (12000, 2000)
    assert (test.nms_pre, test.max_per_img) == (6000, 1000)
    assert train.rcnn.sampler.num == 512
    layer, = MODELS.build(cfg.model.roi_head.bbox_roi_extractor).roi_layers
    assert layer.output_size == (14, 14)
    assert layer.spatial_scale == 1 / 16
    assert layer.aligned


def test_the_report_has_the_shared_stage_with_a_new_norm(cfg):
    start = Path(cfg.load_from).parent.name
    with torch.device('meta'):
        report = compare_state_dicts(*(
            MODELS.build(config.model).state_dict()
            for config in (cfg, Config.fromfile(CONFIGS / f'{start}.py'))))
    report.check()
    stage = report.modules['roi_head.shared_head']
    assert all('.layer4.' in name for name in stage.loaded)
    assert all('.extra_norm.' in name for name in stage.missing)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in report.table().splitlines()]
    # 3 blocks of 3 convolutions, a shortcut, and the norms' 5 tensors each.
    assert ['roi_head.shared_head', '60 of 65', '5', '-', '-'] in rows
