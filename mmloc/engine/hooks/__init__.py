# Copyright (c) mmloc contributors. All rights reserved.
from .checkpoint_hook import CheckpointHook
from .collapse_monitor_hook import CollapseMonitorHook
from .fit_checkpoint_hook import FitCheckpointHook
from .init_weights_hook import InitWeightsHook
from .live_progress_hook import LiveProgressHook
from .non_finite_hook import NonFiniteHook
from .precise_bn_hook import PreciseBNHook
from .rank_agreement_hook import RankAgreementHook
from .runtime_info_hook import RuntimeInfoHook
from .stop_on_signal_hook import StopOnSignalHook
from .target_schedule_hook import TargetScheduleHook
from .transfer_report_hook import TransferReportHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'CheckpointHook', 'CollapseMonitorHook', 'FitCheckpointHook',
    'InitWeightsHook', 'LiveProgressHook', 'NonFiniteHook', 'PreciseBNHook',
    'RankAgreementHook', 'RuntimeInfoHook', 'StopOnSignalHook',
    'TargetScheduleHook', 'TransferReportHook', 'UnreadableImagesHook'
]
