# Parts of a detector that starts from InsLoc, for configs to refer to as
# _base_.from_insloc: what a pretrained module needs to be trained on, with
# the extra norm after the box head's layer that the published recipe has, and
# its optimizer's settings, without decay of the norms' parameters.
norm_cfg = dict(type='SyncBN', requires_grad=True)
from_insloc = dict(
    backbone=dict(
        frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    bbox_head=dict(
        type='mmloc.ExtraNormBBoxHead',
        num_shared_convs=4,
        num_shared_fcs=1,
        norm_cfg=norm_cfg),
    optim_wrapper=dict(paramwise_cfg=dict(norm_decay_mult=0.)))
