"The benchmark's numbers: what they are called, how they hang together, the command"
import json

import pytest
import torch

from hsjp import bench as b
from hsjp.cli import main
from hsjp.recipes import EASY, Data, people_of, plan, work


@pytest.fixture(scope='module')
def found(): return b.bench(seconds=.1, paper=False)

def test_all_parts_are_there(found):
    for row in found['trainings'].values():
        assert set(row) == {'batch', 'loader', 'batch step', 'network', 'Learner', 'not network'}
        assert all(row[k] > 0 for k in row if k != 'not network') and 0 <= row['not network'] < 1
        assert row['Learner'] < min(row['loader'], row['batch step'])
    estimates = {'hours of puzzles', 'hours of poses', 'gigabytes of crops'}
    assert found['decode'] > 0 and set(found['demo']) == estimates
    hours = b.DEMO['puzzles']/found['trainings']['puzzles']['Learner']/3600
    assert found['demo']['hours of puzzles'] == pytest.approx(hours)

def test_the_demo_counts_are_those_of_its_plan():
    people = people_of(Data())
    works = [work(r, people) for r in plan(EASY, people)]
    assert b.DEMO['puzzles'] == pytest.approx(max(w[0] for w in works), rel=.02)
    assert b.DEMO['poses'] == pytest.approx(sum(w[1] for w in works), rel=.02)

def test_the_people_are_labelled_and_inside(tmp_path):
    people = b.vga_people(tmp_path, 20)
    assert people.open(19).size == (640, 480) and len(people.pictures) == 3
    seen = people.points[people.visible > 0]
    assert (seen > -1).all() and (seen < [641, 481]).all()
    x, y, w, h = people.boxes.T
    inside = ((people.points >= people.boxes[:, None, :2] - 3)
              & (people.points <= (people.boxes[:, :2] + people.boxes[:, 2:])[:, None] + 3)).all(-1)
    assert inside[people.visible > 0].mean() > .99

def test_a_rate_leaves_the_first_call_out():
    import time
    calls = []
    def work():
        time.sleep(.2 if not calls else .01)
        calls.append(1)
    assert b.rate(work, 5, .1) > 200

def test_the_command_prints_a_table_and_writes_a_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(b, '_network_rate', lambda *a: 50.)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert main(['bench', '--seconds', '.05', '--json', str(tmp_path/'new'/'b.json')]) == 0
    said, kept = capsys.readouterr().out, json.loads((tmp_path/'new'/'b.json').read_text())
    assert 'network alone' in said and 'not network' in said and '262,465 puzzles x 240' in said
    assert kept['paper']['hours of puzzles'] == pytest.approx(262_465*240/50/3600)
    assert 5 < kept['paper']['gigabytes of crops'] < 20
    assert main(['bench', '--seconds', '.05', '--json']) == 0
    assert json.loads(capsys.readouterr().out).keys() == kept.keys()
    (tmp_path/'file').write_text('mine')
    assert main(['bench', '--json', str(tmp_path/'file'/'b.json')]) == 2     # before any work
