# Hooks of mmloc that suit every training, pretraining and detection.
custom_hooks = [
    # Lets checkpoints of other architectures fit: C4, FPN from C3, backbones.
    dict(type='mmloc.FitCheckpointHook'),
    # Says what of a checkpoint reaches the model; an error if nothing does.
    dict(type='mmloc.TransferReportHook'),
    # Moves a momentum target once per optimizer step, on its schedule.
    dict(type='mmloc.TargetScheduleHook'),
    # Lists images that cannot be read; ends training at max_corrupt of them.
    dict(type='mmloc.UnreadableImagesHook'),
    # Takes no step by NaN or infinity, and names the images.
    dict(type='mmloc.NonFiniteHook', action='skip', max_consecutive=20),
    # Logs how far a pretext task's embeddings are spread, warns of collapse.
    dict(type='mmloc.CollapseMonitorHook', interval=50),
    # Saves and leaves with status 85 when Slurm, or a kill, asks for it.
    dict(type='mmloc.StopOnSignalHook', signals=('SIGTERM', 'SIGUSR1')),
    # With several processes: compares their weights, target and queue.
    dict(type='mmloc.RankAgreementHook', interval=500),
    # On a terminal, one live line in place of the logger's many.
    dict(type='mmloc.LiveProgressHook'),
]
