# Copyright (c) mmloc contributors. All rights reserved.
from .filters import BoxRule, filter_proposals, parse_rule
from .proposal_file import ProposalFile
from .proposal_writer import write_proposals
from .selective_search import check_parameters, selective_search

__all__ = [
    'BoxRule', 'ProposalFile', 'check_parameters', 'filter_proposals',
    'parse_rule', 'selective_search', 'write_proposals'
]
