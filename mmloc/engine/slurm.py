# Copyright (c) mmloc contributors. All rights reserved.
"""What Slurm tells a task about its job, in the names that torch reads."""
import os
import subprocess


def set_env_from_slurm() -> None:
    """Set ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK`` and the master's address.

    As mmengine's launcher 'slurm', which also selects a CUDA device. The
    master is the first node of the job, its port 29500, unless
    ``MASTER_ADDR`` and ``MASTER_PORT`` say otherwise.

    Raises:
        ValueError: If srun has not started this process, or Slurm does not
            tell the nodes of the job.
    """
    names = dict(
        RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS',
        LOCAL_RANK='SLURM_LOCALID')
    missing = [name for name in names.values() if name not in os.environ]
    if missing:
        raise ValueError(
            f"launcher 'slurm' finds no {' and '.join(missing)} in the "
            'environment, which srun sets; start with tools/slurm_train.sh')
    os.environ.update(
        {ours: os.environ[theirs] for ours, theirs in names.items()})
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node()


def _first_node() -> str:
    command = ['scontrol', 'show', 'hostnames']
    try:
        return subprocess.run(
            [*command, os.environ['SLURM_NODELIST']], check=True,
            capture_output=True, text=True).stdout.split()[0]
    except (KeyError, OSError, IndexError,
            subprocess.CalledProcessError) as error:
        raise ValueError(
            "launcher 'slurm' cannot tell the first node of the job "
            f"({' '.join(command)}: {error!r}); set MASTER_ADDR to its name"
        ) from error
