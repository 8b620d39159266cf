# Copyright (c) mmloc contributors. All rights reserved.
import io
import re
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mmloc.utils import stages
from mmloc.utils.stages import clock, describe_progress, run_stage

PREFIX = '11/21 16:09:19 - mmengine - INFO - '
EPOCH = (f'{PREFIX}Epoch(train)  [2][ 40/62]  base_lr: 3.0000e-02 '
         'lr: 3.0000e-02  eta: 0:01:00  time: 1.1665  data_time: 0.1325  '
         'loss: 17.9954  loss_p2: 2.0920  acc_p2: 0.0332')


def python(code):
    return [sys.executable, '-c', code]


def quiet():
    return Console(file=io.StringIO(), width=40)


def test_clock():
    assert [clock(s) for s in (0.4, 65.2, 3600)] == ['0:00', '1:05', '60:00']


@pytest.mark.parametrize(('line', 'words'), [
    (EPOCH, '0:01:00 left, epoch 2, 40 of 62, loss 18'),
    (f'{PREFIX}Iter(train) [   50/90000]  lr: 1e-2  eta: 1 day, 2:03:04  '
     'time: 1.0  grad_norm: 3.1  loss: nan',
     '1 day, 2:03:04 left, 50 of 90000, loss nan'),
    (f'{PREFIX}Epoch(val) [12][20/25]    eta: 0:00:02  time: 0.5158',
     'evaluation, 20 of 25'),
    ('toy images: 88/2000, 48.6/s, 40 s left', '40 s left, 88/2000'),
    (f'{PREFIX}Saving checkpoint at 1 epochs', ''),
    ('', ''),
])
def test_describe_progress(line, words):
    assert describe_progress(line) == words


def test_output_goes_to_the_file_and_progress_is_shown(tmp_path):
    console, log = quiet(), tmp_path / 'log'
    code = f'import sys, os; print({EPOCH!r}); print(os.getcwd()); ' \
        'print("err" + sys.stdin.read(), file=sys.stderr)'
    seconds = run_stage('Train', python(code), log, tmp_path, console, 0)
    assert 0 < seconds < 60
    assert log.read_text() == f'{EPOCH}\n{tmp_path}\nerr\n'
    first, last = console.file.getvalue().splitlines()
    assert re.fullmatch(r' +0:\d\d  Train: .* left, epoch 2, .*', first)
    assert re.fullmatch(r' +0:\d\d  Train', last)


def test_few_lines_where_no_terminal_is(tmp_path):
    console = quiet()
    run_stage('Train', python(f'print({EPOCH!r})'), tmp_path / 'log',
              tmp_path, console)
    assert len(console.file.getvalue().splitlines()) == 1


def test_one_line_stays_on_a_terminal(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    code = f'import time; print({EPOCH!r}); time.sleep(1)'
    run_stage('Train', python(code), tmp_path / 'log', tmp_path, console)
    shown = console.file.getvalue()
    assert 'epoch 2, 40 of 62' in shown
    plain = re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', shown)
    assert max(len(line) for line in re.split(r'[\r\n]', plain)) <= 60
    assert plain.count('\n') - shown.count('\x1b[1A') == 1


@pytest.mark.parametrize(('code', 'words'), [
    ('import sys; sys.exit("error: no such config\\n(ValueError at x)")',
     'no such config'),
    ('import sys; sys.exit("error (rank 0): no such data")', 'no such data'),
    ('1 / 0', 'ZeroDivisionError: division by zero'),
    ('raise SystemExit(3)', 'it said nothing'),
])
def test_a_failure_is_one_sentence(tmp_path, code, words):
    log = tmp_path / 'log'
    with pytest.raises(RuntimeError) as failed:
        run_stage('Train', python(code), log, tmp_path, quiet())
    assert re.fullmatch(
        rf'"Train" failed after 0:\d\d: {words} '
        rf'\(all of its output is in {log}\)', str(failed.value))


def test_the_command_ends_with_an_interruption(tmp_path, monkeypatch):
    def interrupt(line):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, 'describe_progress', interrupt)
    log = tmp_path / 'log'
    # A process of the command, as a data loader's worker is.
    command = ['bash', '-c', 'sleep 60 & echo $!; wait; touch end']
    with pytest.raises(KeyboardInterrupt):
        run_stage('Train', command, log, tmp_path, quiet())
    assert not (tmp_path / 'end').exists()
    status = Path(f'/proc/{int(log.read_text())}/status')
    for _ in range(100):
        if not status.exists() or 'zombie' in status.read_text():
            return
        time.sleep(0.1)
    pytest.fail('the process of the command goes on')
