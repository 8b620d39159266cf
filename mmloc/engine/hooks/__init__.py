# Copyright (c) mmloc contributors. All rights reserved.
from .live_progress_hook import LiveProgressHook
from .precise_bn_hook import PreciseBNHook
from .rank_agreement_hook import RankAgreementHook
from .target_schedule_hook import TargetScheduleHook
from .transfer_report_hook import TransferReportHook
from .worker_seed_hook import WorkerSeedHook

__all__ = [
    'LiveProgressHook', 'PreciseBNHook', 'RankAgreementHook',
    'TargetScheduleHook', 'TransferReportHook', 'WorkerSeedHook'
]
