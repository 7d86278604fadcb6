"What a run remembers, and that two processes train one network"
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback

from hsjp.heatmap import sigma_bound
from hsjp.models import hrnet, simple_baseline
from hsjp.people import mannequins
from hsjp.pretrain import (
    PAPER,
    NarrowTargets,
    Stage,
    curriculum,
    jigsaw_precision,
    pretrain,
    pretrain_learner,
    solve,
)
from hsjp.runs import Journal, Run
from hsjp.weights import load_checkpoint


@pytest.fixture
def few(): return [mannequins(s).subset(range(16)).view(size=(36, 36)) for s in ('train', 'valid')]

def test_the_paper_in_one_stage():
    p, = PAPER
    assert (p.n, p.size, p.batch, p.epochs, p.strength, p.lr) == (6, 224, 256, 240, 1., 1e-3)
    assert [round(d*240) for d in p.drops] == [190, 220]

def test_learner_follows_the_paper(few):
    learn = pretrain_learner(*few, simple_baseline(9, 18), 3, 32, batch=8)
    learn.create_opt()
    group = learn.opt.opt.param_groups[0]
    assert isinstance(learn.opt.opt, torch.optim.Adam)
    assert group['betas'] == (.9, .999) and group['eps'] == 1e-8 and group['weight_decay'] == 0
    assert learn.loss_func.sigma < sigma_bound(3, 8) and [m.eps for m in learn.metrics] == [32/6]*2
    assert pretrain_learner(*few, simple_baseline(9, 18), 3, 32, batch=8, eps=3.).metrics[0].eps == 3.

def test_six_channels(few):
    images, _, _ = pretrain_learner(*few, hrnet(4, 8, 6), 2, 32, batch=8).dls.one_batch()
    assert images.shape == (8, 6, 32, 32)

def test_best_is_by_solved_then_patches(few, tmp_path):
    "and a resumed run has to beat the best so far"
    keep, kept = Journal(Run(None, 'jigsaw', {}, ('solved', 'patches'))), []
    class Recorder: metric_names = ['epoch', 'patches', 'solved', 'time']
    class Learn: recorder, model, epoch = Recorder, hrnet(4, 8), 0
    keep.learn = Learn
    keep.before_fit()
    for values in ((.5, .1), (.9, .0), (.6, .1), (.6, .1), (.1, .2)):
        Recorder.values = [values]
        keep.after_epoch()
        kept.append(keep.best)
    assert kept == [(.1, .5), (.1, .5), (.1, .6), (.1, .6), (.2, .1)]
    stages = [Stage(2, 32, 3, .2, 1e-3, 8, 0, 0., ())]
    torch.manual_seed(0)
    rows = pretrain(*few, hrnet(4, 8), stages, tmp_path, log=lambda s: None, bf16=False)
    best = max((r['solved'], r['patches']) for r in rows)
    assert load_checkpoint(tmp_path/'best.pt')[1]['best'] == list(best)
    state = torch.load(tmp_path/'last.pt', weights_only=True)
    state['rows'] = [dict(rows[0], solved=.99)]   # as if it had stopped after a first epoch that was the best
    torch.save(state, tmp_path/'last.pt')
    pretrain(*few, hrnet(4, 8), stages, tmp_path, resume=True, log=lambda s: None, bf16=False)
    assert load_checkpoint(tmp_path/'best.pt')[1]['best'] == list(best)

class StopAt(Callback):
    "As if somebody pressed stop, before the first step of an epoch"
    order = 90
    def __init__(self, n): self.n = n
    def before_train(self):
        if self.learn.model.final_layer.out_channels == self.n**2: raise KeyboardInterrupt

def test_a_run_stopped_between_two_stages_goes_on(few, tmp_path):
    stages = [Stage(n, 32, 2, .2, 1e-3, 8, 0, 0., ()) for n in (2, 3)]
    def run(out, **kwargs):
        torch.manual_seed(0)
        model = hrnet(4, 8)
        return model, pretrain(*few, model, stages, out, log=lambda s: None, bf16=False, **kwargs)
    whole, rows = run(tmp_path/'whole')
    with pytest.raises(KeyboardInterrupt): run(tmp_path/'halved', cbs=[StopAt(3)])
    (tmp_path/'halved'/'best-n2.pt').rename(tmp_path/'best-n2.pt')
    resumed, again = run(tmp_path/'halved', resume=True)
    drop = lambda rows: [{k: v for k, v in r.items() if k != 'seconds'} for r in rows]
    assert drop(again) == drop(rows)
    for model in (resumed, run(tmp_path/'halved', resume=True)[0]):   # the second had nothing left to do
        pairs = zip(whole.state_dict().values(), model.state_dict().values())
        assert all(torch.equal(a, b) for a, b in pairs)
    assert load_checkpoint(tmp_path/'best-n2.pt')[0].final_layer.out_channels == 4

def test_stop_in_the_forward_pass_ends_autocast(few):
    learn = pretrain_learner(*few, hrnet(4, 8), 2, 32, batch=8, bf16=True)
    dtypes = []
    def stop(module, args, out):
        dtypes.append(out.dtype)
        if len(dtypes) == 2: raise KeyboardInterrupt
    learn.model.conv1.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt), learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert dtypes == [torch.bfloat16]*2 and not torch.is_autocast_enabled('cpu')
    assert learn.model(torch.rand(2, 3, 32, 32)).dtype == torch.float32

@pytest.mark.parametrize('bad,word', [
    (dict(train=[]), 'train has no pictures'), (dict(valid=[]), 'valid has no pictures'),
    (dict(n=17), 'n is 17'), (dict(epochs=0), 'epochs is 0'),
    (dict(batch=0), 'batch is 0'), (dict(size=4), 'size is 4')])
def test_bad_stages_are_named_before_any_training(bad, word, few):
    bad = dict(train=few[0], valid=few[1], n=2, size=32, epochs=1, batch=8) | bad
    train, valid = bad.pop('train'), bad.pop('valid')
    with pytest.raises(ValueError, match=word):
        pretrain(train, valid, hrnet(4, 8), [Stage(2, 32, 1000), Stage(**bad)])

def test_targets_narrow_over_the_first_half_and_a_resumed_run_goes_on_with_them(few):
    "In training; validation always has the last width"
    class Widths(Callback):
        order = 80
        def __init__(self): self.train, self.valid = [], []
        def after_pred(self): (self.train if self.training else self.valid).append(self.loss_func.sigma)
    def widths(epochs, start):
        learn, seen = pretrain_learner(*few, hrnet(4, 8), 2, 32, batch=8), Widths()
        with learn.no_bar(), learn.no_logging():
            learn.fit(epochs, cbs=[NarrowTargets(1.8, 8, start), seen])
        return seen.train, set(seen.valid)
    whole, valid = widths(4, 0)
    last = .95*sigma_bound(2, 8)
    assert valid == {last} and whole[0] == pytest.approx(1.8*last) and whole[4:] == [last]*4
    assert whole == sorted(whole, reverse=True) and whole[2]**2 == pytest.approx(whole[0]*last)
    assert widths(3, 1)[0] == whole[2:]

def test_the_small_recipe_is_mirrored_and_has_wide_targets_first():
    stage, other = curriculum(100, (200, 300))
    assert (stage.n, other.n, stage.epochs, other.epochs) == (2, 3, 2, 3)
    paper, = PAPER
    assert stage.flip == .5 and stage.wide > 1 and paper.wide == 1 and not paper.flip

def test_a_curriculum_needs_pictures():
    with pytest.raises(ValueError, match='pictures is 0'): curriculum(0)

def test_resume_names_another_network(few, tmp_path):
    stages, quiet = [Stage(2, 32, 1, batch=8)], dict(log=lambda s: None, bf16=False)
    run = lambda model, resume=True: pretrain(*few, model, stages, tmp_path, resume=resume, **quiet)
    with pytest.raises(FileNotFoundError, match='holds no run'): run(hrnet(4, 8))
    run(hrnet(4, 8), False)
    with pytest.raises(ValueError, match='holds a run already'): run(hrnet(4, 8), False)
    with pytest.raises(ValueError, match="expected the same network to resume"): run(hrnet(4, 16))
    (tmp_path/'last.pt').write_bytes(b'junk')
    with pytest.raises(ValueError, match='cannot be read'): run(hrnet(4, 8))

def test_solve_wants_square_outputs(few):
    crop = few[0].view(labels=False)[0][0][None]
    with pytest.raises(ValueError, match='has 17 outputs'): solve(hrnet(17, 8), crop, 32)

@pytest.mark.parametrize('points,centres,word', [
    (torch.full((1, 4, 2), torch.nan), torch.zeros(1, 4, 2), r'points\[0, 0\] is \[nan, nan\]'),
    (torch.zeros(1, 4, 2), torch.full((1, 4, 2), torch.inf), r'centres\[0, 0\]'),
    (torch.zeros(0, 4, 2), torch.zeros(0, 4, 2), 'at least one'),
    (torch.zeros(1, 4, 2), torch.zeros(1, 9, 2), 'that of centres')])
def test_bad_points_are_named(points, centres, word):
    with pytest.raises(ValueError, match=word): jigsaw_precision(points, centres, 8)

TWO = '''
import sys, torch, torch.distributed as dist
from hsjp.models import simple_baseline
from hsjp.people import mannequins
from hsjp.processes import join_processes, processes
from hsjp.pretrain import Stage, pretrain
from fastai.callback.core import Callback
torch.set_num_threads(1)
device = join_processes('cpu')
rank, count = processes()

class Look(Callback):
    "What each process sees"
    order, seen, first = 99, [], None
    def before_batch(self):
        if self.training and self.first is None: self.first = self.x.clone()
    def before_train(self): self.seen.append(self.dls.train.get_idxs()); self.dls.train.rng.seed(0)

torch.manual_seed(rank)                                        # DDP starts both from the first one's weights
data = [mannequins(s).subset(range(k)).view(size=(36, 36)) for s, k in (('train', 33), ('valid', 13))]
look, model = Look(), simple_baseline(4, 18)
rows = pretrain(*data, model, [Stage(2, 32, 2, .2, 1e-3, 8, 2, .3, ())], sys.argv[1], seed=0,
                device=device, bf16=False, cbs=[look], log=lambda s: print('LOG', s))

def everyone(x):
    out = [None]*count
    dist.all_gather_object(out, x)
    return out
a, b = everyone({k: v for k, v in model.state_dict().items() if 'num_batches' not in k})
assert all(torch.equal(a[k], b[k]) for k in a), 'weights and statistics differ'
a, b = everyone([(r['patches'], r['solved'], round(r['valid_loss'], 6), r['seen']) for r in rows])
assert a == b and a[-1][-1] == 64, (a, b)
assert abs(a[0][0]*13*4 - round(a[0][0]*13*4)) < 1e-4, 'each of the 13 pictures counts once'
a, b = everyone(look.seen[0])
assert len(a) == len(b) == 16 and not set(a) & set(b), 'a picture went to both'
a, b = everyone(look.first)
assert a.shape == (4, 3, 32, 32) and not torch.equal(a, b), 'the same augmentation on both'
if rank == 0: print('FINE')
'''

@pytest.mark.slow
@pytest.mark.skipif(os.sysconf('SC_PAGE_SIZE')*os.sysconf('SC_PHYS_PAGES') < 14e9,
                    reason='a batch of the paper takes 11 GB of memory')
def test_two_steps_of_the_paper():
    "256 puzzles, each with 36 heatmaps, at 1e-3: the command's own stage, cut to one epoch of two steps"
    torch.set_num_threads(2); torch.manual_seed(0)
    shapes, rates = [], []
    class Look(Callback):
        def before_step(self):
            shapes.append((*self.x.shape, *self.pred.shape))
            rates.append(self.opt.hypers[-1]['lr'])
    train = mannequins('train').subset(range(512)).view(size=(224, 224))
    model, stages = simple_baseline(36, 18), [replace(PAPER[0], epochs=1)]
    rows = pretrain(train, train.subset(range(8)), model, stages, cbs=[Look()], log=lambda s: None)
    assert shapes == [(256, 3, 224, 224, 256, 36, 56, 56)]*2 and rates == [1e-3]*2
    assert 0 < rows[0]['train_loss'] < 1 and rows[0]['seen'] == 512

@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path):
    (tmp_path/'two.py').write_text(TWO)
    words = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]), OMP_NUM_THREADS='1')
    words += [str(tmp_path/'two.py'), str(tmp_path/'out')]
    run = subprocess.run(words, capture_output=True, text=True, env=env)
    assert run.returncode == 0 and 'FINE' in run.stdout, run.stdout + run.stderr
    assert run.stdout.count('LOG') == 1 and run.stdout.count('epoch 0') == 1
    assert {p.name for p in (tmp_path/'out').iterdir()} == {'best.pt', 'best-n2.pt', 'last.pt', 'history.csv'}
    assert load_checkpoint(tmp_path/'out'/'best.pt')[1]['task'] == 'jigsaw'
