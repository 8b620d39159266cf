# The linear probe as in SoCo's published script, which leaves the backbone in
# training mode: it has the statistics of each batch, and the running ones
# move. Weights keep still all the same, by a learning rate of 0.
_base_ = './linear-probe_r50_8xb32-coslr-100e_in1k.py'

model = dict(backbone=dict(frozen_stages=-1))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.))))
