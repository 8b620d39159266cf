# InsLoc's optimisation over 400 epochs: only the cosine is longer.
_base_ = './insloc_coslr-200e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[0].update(T_max=400, end=400)
train_cfg = dict(max_epochs=400)
