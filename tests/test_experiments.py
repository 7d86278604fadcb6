"Recipes, runs and sweeps: stored once, resumed, shared, compared in pairs"
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hsjp import experiments
from hsjp.experiments import paired, puzzle_folder, run, solve_puzzles, table
from hsjp.finetune import FinetuneRecipe
from hsjp.pretrain import Stage
from hsjp.recipes import Data, Network, Pretext, Recipe, digest, people_of, puzzles, tuning, work
from hsjp.runs import Stopped
from hsjp.sweep import run_all
from hsjp.weights import load_checkpoint

TUNING = FinetuneRecipe(2, size=(64, 64), margin=1.25)
STAGE = Stage(2, 32, 2, .2, batch=32, drops=())
PLAIN = Recipe(network=Network(width=4), labels=8, tuning=TUNING)
HSJP = replace(PLAIN, start='HSJP', pretext=Pretext((STAGE,)))

@pytest.fixture(scope='module')
def people(): return [p.subset(range(40)) for p in people_of(Data())]

def same(a, b):
    "Rows of the same run, but for the seconds"
    return {k: v for k, v in a.items() if k != 'seconds'} == {k: v for k, v in b.items() if k != 'seconds'}

def test_equal_recipes_have_one_name_and_others_another():
    assert Recipe(labels=8).name == Recipe(Data(), labels=8).name
    others = [Recipe(), Recipe(labels=8), Recipe(labels=8, seed=1), Recipe(labels=.5), HSJP,
              replace(HSJP, pretext=replace(HSJP.pretext, original=True)),
              *(replace(PLAIN, tuning=replace(TUNING, **one)) for one in (dict(freeze=0), dict(lr=2e-3)))]
    assert len({r.name for r in others}) == len(others)
    elsewhere = replace(HSJP, labels=9, tuning=replace(TUNING, lr=1))
    assert puzzle_folder(HSJP, '') == puzzle_folder(elsewhere, '')
    assert digest(dict(a=1, b=None)) == digest(dict(a=1)) != digest(dict(a=2))

def test_a_run_is_stored_with_its_recipe_and_only_read_again(people, tmp_path):
    row = run(HSJP, tmp_path, people)
    folder = tmp_path/HSJP.name
    left = {p.name for p in folder.iterdir()}
    assert left == {'lock', 'recipe.json', 'metrics.json', 'history.csv', 'pose.pt', 'found.npz'}
    assert json.loads((folder/'recipe.json').read_text()) == json.loads(json.dumps(asdict(HSJP)))
    assert load_checkpoint(folder/'pose.pt')[1]['recipe']['labels'] == row['labels'] == 8
    assert np.load(folder/'found.npz')['points'].shape == (40, 17, 2)
    assert row['puzzles'] == work(HSJP, people)[0] and row['pictures'] == work(HSJP, people)[1]
    assert run(HSJP, tmp_path, 'nobody is looked at') == row
    assert table(tmp_path).run.tolist() == [HSJP.name]

def test_the_best_epoch_counts_where_it_is_asked_for(people, tmp_path, monkeypatch):
    asked, best = [], replace(HSJP, pretext=replace(HSJP.pretext, best=True))
    monkeypatch.setattr(experiments, 'load_weights', lambda m, source, **kw: asked.append(Path(source).name))
    rows = [run(r, tmp_path, people) for r in (HSJP, best)]
    assert asked == ['last.pt', 'best.pt']
    history = pd.read_csv(puzzle_folder(best, tmp_path)/'history.csv')
    assert (rows[1]['solved'], rows[1]['patches']) == pytest.approx(max(zip(history.solved, history.patches)))

@pytest.mark.parametrize('at', ['jigsaw', 'pose'])
def test_a_broken_run_goes_on_and_ends_alike(at, people, tmp_path, monkeypatch):
    whole = run(HSJP, tmp_path/'whole', people)
    class Break(Exception): pass
    from fastai.callback.core import Callback
    class Stop(Callback):
        order = 90
        def after_epoch(self):
            if self.epoch == 0 and self.learn.model.task == at: raise Break('x')
    monkeypatch.setattr('hsjp.runs.time.perf_counter', iter(range(0, 10**7, 100)).__next__)  # saves are due
    with pytest.raises(Break): run(HSJP, tmp_path/'broken', people, cbs=[Stop()])
    assert table(tmp_path/'broken').empty
    again = run(HSJP, tmp_path/'broken', people)
    assert same(whole, again)
    a, b = (load_checkpoint(tmp_path/n/HSJP.name/'pose.pt')[0].state_dict() for n in ('whole', 'broken'))
    assert all(torch.equal(a[k], b[k]) for k in a)

def test_side_by_side_gives_what_one_after_the_other_gives(people, tmp_path):
    recipes = [PLAIN, HSJP, replace(HSJP, labels=4)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    said = []
    alone = run_all(recipes, tmp_path/'a', 1, people, log=said.append)
    torch.set_num_threads(threads)
    both = run_all(recipes, tmp_path/'b', 2, people, log=said.append)
    pd.testing.assert_frame_equal(alone.drop(columns='seconds'), both.drop(columns='seconds'))
    assert len([*(tmp_path/'b').glob('puzzles-*')]) == 1 and len(said) == 8
    assert said[3].endswith('[100% done, about 0 min left]')

def test_a_collapse_is_a_row_without_ap(people, tmp_path, monkeypatch):

    def collapsed(train, unseen, model, stages, folder, *args, **kwargs):
        pd.DataFrame([dict(n=2, patches=.25, solved=0., seen=64, seconds=1.)]).to_csv(folder/'history.csv')
        raise Stopped('the network has collapsed')
    monkeypatch.setattr('hsjp.experiments.pretrain', collapsed)
    row = run(HSJP, tmp_path, people)
    assert row['AP'] is None and 'collapsed' in row['note'] and row['patches'] == .25 and row['pictures'] == 0

def test_frozen_layers_stay(people, tmp_path):
    frozen = replace(HSJP, tuning=replace(TUNING, freeze=1))
    run(frozen, tmp_path, people)
    before = load_checkpoint(tmp_path/solve_puzzles(frozen, tmp_path)['folder']/'last.pt')[0].state_dict()
    after = load_checkpoint(tmp_path/frozen.name/'pose.pt')[0].state_dict()
    stays = [k for k in after if k.startswith(('conv1', 'bn1', 'layer1'))]
    assert all(torch.equal(before[k], after[k]) for k in stays)
    assert not torch.equal(before['layer2.0.conv1.weight'], after['layer2.0.conv1.weight'])

def test_pairs_share_their_seed():
    rows = pd.DataFrame([dict(labels=k, start=s, seed=i, AP=10*i + (s == 'HSJP')*g)
                         for k, gains in ((25, (1, 2, 3)), (75, (-1, 1, 0))) for i, g in enumerate(gains)
                         for s in ('HSJP', 'scratch')])
    p = paired(rows.sample(frac=1, random_state=0)).set_index('labels')
    assert p.gain[25] == pytest.approx(2) and p.sd[25] == pytest.approx(1) and p.ahead[25] == 3
    assert (p.low[25], p.high[25]) == pytest.approx((2 - 4.3027/3**.5, 2 + 4.3027/3**.5), abs=1e-3)
    assert p.gain[75] == 0 and p.ahead[75] == 1 and p.seeds[75] == 3
    one = paired(rows[rows.seed == 0])
    assert one.low.isna().all() and one.gain.notna().all()
    with pytest.raises(ValueError, match='several runs .* the same labels and seed; expected one'):
        paired(pd.concat([rows, rows.head(1)]))

def test_small_budgets_in_pictures():
    people = people_of(Data())
    for labels in (25, 75, 250, 900):
        shown = work(Recipe(labels=labels, tuning=tuning(12_000, labels)), people)[1]
        assert shown == pytest.approx(12_000, rel=.05)
    assert puzzles(3000).people is None and puzzles(3000, (300, 300)).people == 300

def test_a_json_needs_unseen_people():
    with pytest.raises(ValueError, match='no unseen people'): people_of(Data('people.json'))

def test_ctrl_c_ends_all_processes(tmp_path):
    code = 'from hsjp.cli import main; import sys; sys.exit(main())'
    words = [sys.executable, '-c', code, 'demo', '--jobs', '2', '--out', str(tmp_path)]
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    demo = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                            preexec_fn=heard)
    started = lambda: [*tmp_path.glob('puzzles-*')]
    until = time.monotonic() + 300
    try:
        while not started() and demo.poll() is None and time.monotonic() < until: time.sleep(.2)
        assert started()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
    finally: demo.kill()
    assert 'stopped; what is done is kept' in demo.stderr.read()

def test_the_papers_puzzles_are_cut_from_its_own_canvas(people, tmp_path, monkeypatch):
    seen = {}
    def pretrain(train, *args, **kwargs):
        seen.update(size=train.size, inside=train.inside)
        return [dict(n=6, patches=0., solved=0., seconds=0, seen=0)]
    monkeypatch.setattr('hsjp.experiments.pretrain', pretrain)
    solve_puzzles(replace(HSJP, pretext=Pretext((Stage(),), 1.25, inside=False)), tmp_path, people)
    assert seen == dict(size=(228, 228), inside=False)

def test_a_collapse_before_the_first_saving_is_a_row_too(people, tmp_path, monkeypatch):
    def collapsed(*args, **kwargs): raise Stopped('no longer finite at step 1')
    monkeypatch.setattr('hsjp.experiments.pretrain', collapsed)
    row = run(HSJP, tmp_path, people)
    assert row['AP'] is None and row['puzzles'] == 0 and 'finite' in row['note']

def test_a_fine_tuning_that_becomes_nan_is_a_row_and_the_sweep_goes_on(people, tmp_path, monkeypatch):
    real = experiments.finetune
    def finetune(*args, **kwargs):
        if args[5] == 0: raise Stopped('the loss is no longer finite')
        return real(*args, **kwargs)
    monkeypatch.setattr(experiments, 'finetune', finetune)
    rows = run_all([PLAIN, replace(PLAIN, seed=1)], tmp_path, people=people, log=lambda s: None)
    assert rows.AP.isna().tolist() == [True, False] and 'finite' in rows.note[0] and not rows.note[1]
