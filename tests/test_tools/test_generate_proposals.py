# Copyright (c) mmloc contributors. All rights reserved.
import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmloc.proposals import ProposalFile

TOOL = (Path(__file__).resolve().parents[2] / 'tools' / 'dataset_tools'
        / 'generate_proposals.py')


@pytest.fixture
def generate(monkeypatch, tmp_path):
    """Run the tool on three images, one of which is empty."""
    (tmp_path / 'set').mkdir()
    for name in ('a.png', 'c.png'):
        cv2.imwrite(str(tmp_path / 'set' / name),
                    np.eye(40, 60, dtype=np.uint8) * 255)
    (tmp_path / 'set' / 'b.png').touch()
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr('sys.argv', [str(TOOL), *args])
        runpy.run_path(str(TOOL), run_name='__main__')

    return run


def test_run_and_merge(generate, capsys, tmp_path):
    options = ['--workers', '1', '--scale', '50', '--min-size', '10',
               '--rule', '{"min_side": 2}']  # yapf: disable
    generate('set', 'whole.mmprop', *options)
    said = capsys.readouterr()
    assert 'Wrote whole.mmprop.\n  images: 2, with ' in said.out
    assert 'for they are unreadable: 1\n  details: ' in said.out
    assert '3/3' in said.err  # progress
    file = ProposalFile(tmp_path / 'whole.mmprop')
    assert [numbers['min_side'] for numbers in file.params['rule']] == [2.0]
    assert (file.params['scale'], file.params['min_size']) == (50., 10)
    assert file.num_boxes

    for shard in ('1/2', '2/2'):
        generate('set', 'parts.mmprop', '--shard', shard, *options)
    generate('parts.mmprop', '--merge')
    assert (tmp_path / 'parts.mmprop').read_bytes() == (
        tmp_path / 'whole.mmprop').read_bytes()
    capsys.readouterr()
    generate('set', 'whole.mmprop', *options)
    assert 'whole.mmprop is there already.' in capsys.readouterr().out


@pytest.mark.parametrize(('args', 'message'), [
    (['nowhere', 'a'], "image folder 'nowhere' does not exist"),
    (['set', 'a', '--shard', '3'], "shard is '3', expected i/n"),
    (['set', 'a', '--sigma', '-1'], r'sigma is -1.0, expected'),
    (['set', 'a', '--rule', 'big'], "rule is 'big', expected a name"),
    (['set', 'a', '--rule', '{min_side'], 'is no JSON .* expected a name'),
    (['set', 'a', '--workers', '0'], 'workers is 0, expected 1'),
    (['set', 'a', '--merge'], 'give SOURCE and OUT, or OUT and --merge'),
    (['a'], 'give SOURCE and OUT, or OUT and --merge'),
    (['a', '--merge'], 'shards of no parts'),
])
def test_mistakes(generate, capsys, tmp_path, args, message):
    with pytest.raises(SystemExit) as error:
        generate(*args)
    assert error.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
