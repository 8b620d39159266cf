# Copyright (c) mmloc contributors. All rights reserved.
from .checkpoint_hook import CheckpointHook
from .live_progress_hook import LiveProgressHook
from .precise_bn_hook import PreciseBNHook
from .rank_agreement_hook import RankAgreementHook
from .stop_on_signal_hook import StopOnSignalHook
from .target_schedule_hook import TargetScheduleHook
from .transfer_report_hook import TransferReportHook

__all__ = [
    'CheckpointHook',
    'LiveProgressHook',
    'PreciseBNHook',
    'RankAgreementHook',
    'StopOnSignalHook',
    'TargetScheduleHook',
    'TransferReportHook',
]
