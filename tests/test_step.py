"The step: the same numbers for any workers, parts and processes; nothing waits for a GPU; options resume"
import ast
import contextlib
import inspect
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fastai.callback.core import Callback

from hsjp import augment, finetune, geometry, heatmap, jigsaw, learner, posenet, pretrain, processes, runs
from hsjp.augment import ColourAugment, JigsawBatch, PoseBatch
from hsjp.finetune import FinetuneRecipe
from hsjp.heatmap import HeatmapLoss
from hsjp.learner import SeedEpochs, StepLoader, fit_stage, heatmap_learner, step_loaders
from hsjp.models import compact
from hsjp.people import studio
from hsjp.runs import Run
from hsjp.weights import load_checkpoint

CPU = torch.device('cpu')

class Crops:
    "Grey squares that say which process made them"
    def __init__(self, n=20): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i):
        crop = torch.full((3, 36, 36), i*7 % 256, dtype=torch.uint8)
        crop[:, :18] //= 2
        return crop, i

class Pids(Crops):
    def __getitem__(self, i): return torch.full((1, 1, 1), os.getpid()), i

def loaders(workers=0, data=None, train=True, batch=8, **kw):
    data = data or Crops()
    steps = JigsawBatch(2, 32, train, seed=0), JigsawBatch(2, 32, False)
    return step_loaders(data, data, *steps, batch=batch, workers=workers, device='cpu', **kw)

def two_epochs(dls):
    "All batches of two seeded epochs, training and validation"
    seen = []
    for epoch in range(2):
        seeds = SeedEpochs(3)
        seeds.learn = SimpleNamespace(dls=dls, epoch=epoch)
        seeds.before_train()
        for loader in dls.loaders: seen += [tensor for batch in loader for tensor in batch]
    for loader in dls.loaders: loader.close()
    return seen

@pytest.mark.parametrize('workers,start', [(1, 'fork'), (2, 'fork'), (1, 'spawn')])
def test_any_number_of_workers_gives_the_same_batches(workers, start):
    alone, helped = two_epochs(loaders()), two_epochs(loaders(workers, start=start))
    assert len(alone) == len(helped) == 2*3*(2 + 2)
    assert all(torch.equal(a, b) for a, b in zip(alone, helped))

def test_workers_live_for_the_whole_run_and_end_with_it():
    step = lambda pid, i: (pid.expand(-1, 3, 2, 2).float(), pid.flatten(), i)
    loader = StepLoader(Pids(16), step, bs=2, num_workers=2, device=CPU)
    epochs = [{p for _, pids, _ in loader for p in pids.flatten().tolist()} for _ in range(3)]
    assert epochs[0] == epochs[1] == epochs[2] and len(epochs[0]) == 2 and os.getpid() not in epochs[0]
    next(iter(loader))                                          # an epoch that ends early
    assert {p for _, pids, _ in loader for p in pids.flatten().tolist()} == epochs[0]
    assert loader.one_batch()[1][0].item() == os.getpid()       # a look at a batch starts nobody
    loader.close()
    for pid in epochs[0]:
        with pytest.raises(ProcessLookupError): os.kill(pid, 0)

def test_crops_leave_the_workers_as_bytes():
    seen = []
    def step(*parts):
        seen.append(parts)
        return parts[0]/255, torch.zeros(1), torch.zeros(1)
    people = studio('train', True).subset(range(4)).view(size=(64, 32))
    loader = StepLoader(people, step, bs=4, num_workers=1, device=CPU)
    for _ in loader: pass
    loader.close()
    crops, *numbers = seen[0]
    assert crops.dtype == torch.uint8 and sum(t.nbytes for t in numbers) < .1*crops.nbytes

def quiet(learn, epochs, start=0, run=None, seed=0):
    stage = SimpleNamespace(epochs=epochs, lr=1e-3, warmup=0, anneal=0., drops=())
    with contextlib.redirect_stdout(io.StringIO()):
        fit_stage(learn, stage, run or Run(None, 'jigsaw', {}, ()), seed=seed, start=start)

class Asleep(Callback):
    "Batch normalisation in evaluation mode"
    def before_batch(self):
        for m in self.model.modules():
            if isinstance(m, torch.nn.BatchNorm2d): m.eval()

class Gradients(Callback):
    def __init__(self): self.seen, self.losses = [], []
    def before_step(self):
        self.seen.append([p.grad.clone() for p in self.model.parameters()])
        self.losses.append(self.loss.item())

def small(dls=None, **kw):
    torch.manual_seed(0)
    return heatmap_learner(dls or loaders(), compact(4, width=8), HeatmapLoss(1.), [], bf16=False, **kw)

@pytest.mark.parametrize('parts', [2, 3, 8, 20])
def test_the_gradients_of_the_parts_add_up(parts):
    seen = [Gradients(), Gradients()]
    for watch, k in zip(seen, (1, parts)): quiet(small(cbs=[Asleep(), watch], accumulate=k), 1)
    whole, added = seen
    assert torch.tensor(whole.losses).allclose(torch.tensor(added.losses), atol=1e-6)
    for a, b in zip(whole.seen[0], added.seen[0]): torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)

def test_parts_are_one_step_of_the_journal_and_know_bfloat16():
    dtypes, rows = set(), []
    class Look(Callback):
        def before_fit(self): self.model.conv1.register_forward_hook(lambda m, x, y: dtypes.add(y.dtype))
    for k in (1, 4):
        run = Run(None, 'jigsaw', {}, ())
        learn = heatmap_learner(loaders(), compact(4, width=8), HeatmapLoss(1.), [], bf16=True, cbs=[Look()],
                                accumulate=k)
        quiet(learn, 2, run=run)
        rows.append([r['seen'] for r in run.rows])
        steps = {s['step'].item() for s in learn.opt.opt.state.values()}
    assert rows[0] == rows[1] == [16, 32] and dtypes == {torch.bfloat16} and steps == {4.}

def test_validation_has_room_where_the_parts_have():
    assert small(loaders(), accumulate=2).dls.valid.bs == -(-small(loaders()).dls.valid.bs//2)

@pytest.mark.parametrize('word', [dict(accumulate=0), dict(ema=1.), dict(ema=-.1), dict(sync_bn=True)])
def test_options_that_cannot_be(word):
    with pytest.raises(ValueError, match=f'{next(iter(word))} is '): small(**word)

def test_the_mean_of_the_weights_is_kept_and_resumes(tmp_path):
    "By hand: d*mean + (1-d)*weight after each step; broken after an epoch, the run goes on to the same bits"
    means = []
    class ByHand(Callback):
        order = 90
        def after_step(self):
            now = [p.detach().clone() for p in self.model.parameters()]
            means[:] = [.9*m + .1*p for m, p in zip(means, now)] if means else now
    whole = small(ema=.9, cbs=[ByHand()])
    quiet(whole, 3)
    for p, m in zip(whole.model.parameters(), means): torch.testing.assert_close(p.detach(), m)
    before = [p.clone() for p in whole.model.parameters()]
    with whole.no_bar(), whole.no_logging(): whole.validate()
    assert all(torch.equal(a, b) for a, b in zip(before, whole.model.parameters()))
    class Stop(Callback):
        order = 99
        def before_train(self):
            if self.epoch == 1: raise KeyboardInterrupt
    keep = dict(out=tmp_path/'run', task='jigsaw', recipe={}, best_by=())
    with pytest.raises(KeyboardInterrupt): quiet(small(ema=.9, cbs=[Stop()]), 3, run=Run(**keep))
    broken = Run(**keep, resume=True)
    rest = small(ema=.9)
    rest.model.load_state_dict(broken.state['model'])
    quiet(rest, 3, start=1, run=broken)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.state_dict().values(),
                                                 rest.model.state_dict().values()))

def test_only_callbacks_with_something_to_say_are_asked_and_none_is_left_out():
    said = []
    class Says(Callback):
        def after_batch(self): said.append('class')
    mine = Callback(after_batch=lambda self: said.append('instance'))
    quiet(small(cbs=[Says(), mine]), 1)
    assert said.count('class') == said.count('instance') == 2 + 2

ALL = dict(p_jitter=.8, p_grey=.2, p_blur=.5, p_solarise=.2)

@pytest.mark.parametrize('side', [40, 72, 252])
def test_colours_of_all_pictures_or_of_those_drawn_are_the_same(side, monkeypatch):
    "A GPU sends all pictures through, since counting those drawn would make it wait"
    x, colour = torch.rand(6, 3, side, side), ColourAugment(**ALL)
    draws = colour.draw(6, torch.Generator().manual_seed(4))
    picked = colour.apply(x.clone(), draws)
    monkeypatch.setattr(augment, '_those', lambda which: slice(None))
    torch.testing.assert_close(colour.apply(x.clone(), draws), picked, rtol=0, atol=1e-6)

@pytest.mark.parametrize('side', [40, 72, 108, 252])
def test_the_blur_is_kornias(side):
    kornia = pytest.importorskip('kornia.filters')
    x, sigma = torch.rand(5, 3, side, side), torch.tensor([0., .3, 1., 2., 0.])
    reach = -(-6*side//224)
    widths = (sigma*side/224).clamp(min=.05)[:, None].expand(-1, 2)
    theirs = kornia.gaussian_blur2d(x, (2*reach + 1,)*2, widths)
    torch.testing.assert_close(augment._blur(x.clone(), sigma, 6.), theirs, rtol=0, atol=1e-6)

# what runs in each training step, and what makes a GPU wait
STEP = [
    augment._recolour, augment._those, augment._smear, augment._blur, augment._solarise, ColourAugment.draw,
    ColourAugment.apply, ColourAugment.__call__, augment.to_float, augment.RandomStep._rng,
    JigsawBatch.__call__, PoseBatch._move, PoseBatch.__call__, geometry._turns, geometry._size_xy,
    geometry.random_affine,
    geometry.compose, geometry.move_points, geometry.inside, geometry.warp, geometry.normal_affine,
    geometry.half_body, jigsaw.durstenfeld, jigsaw._move, jigsaw.shuffle_patches, jigsaw.patch_centres,
    heatmap._draw, heatmap.masked_mse, HeatmapLoss.__call__, posenet.normalise, StepLoader.__iter__,
    StepLoader.after_batch, learner.SmoothLoss.accumulate, learner.StepLearner._call_one,
    learner.StepLearner._forward, learner.StepLearner._do_one_batch, learner.StepLearner._do_parts,
    learner.Average.after_step, learner.SetRate.before_batch, runs.Journal.after_batch,
    runs.StopAtNaN.after_loss, pretrain.NarrowTargets.before_batch, processes.Distributed.before_train]
WAITS = {'item', 'tolist', 'nonzero', 'cpu', 'numpy', 'argwhere', 'masked_select', 'unique', 'synchronize',
         'equal', 'allclose'}
ANSWERS = {'any', 'all', 'sum', 'isfinite', 'isnan'}     # of a tensor: asked by an `if`, they wait

def waits(function):
    "Calls that read a tensor on the host or copy one from it, outside what is said to be for the CPU alone"
    tree, found = ast.parse(textwrap.dedent(inspect.getsource(function))), []
    def look(node):
        if isinstance(node, (ast.IfExp, ast.If)) and 'cuda' in ast.unparse(node.test): return
        if isinstance(node, ast.BoolOp) and "'cpu'" in ast.unparse(node): return
        if isinstance(node, ast.If) and "'cpu'" in ast.unparse(node.test): return
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            copies = name in ('torch.tensor', 'torch.as_tensor') or name.endswith('.to') and not node.keywords
            reads = name.rpartition('.')[2] in WAITS or name in ('bool', 'float', 'int')
            if reads or copies or name == 'torch.where' and len(node.args) == 1: found.append(name)
        if isinstance(node, ast.Subscript) and any(isinstance(n, ast.Compare) for n in ast.walk(node.slice)):
            found.append(ast.unparse(node))     # as many rows as the mask has ones
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            for call in (n for n in ast.walk(node.test) if isinstance(n, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr in ANSWERS:
                    found.append(ast.unparse(call))
        for child in ast.iter_child_nodes(node): look(child)
    look(tree)
    return found

@pytest.mark.parametrize('function', STEP, ids=lambda f: f.__qualname__)
def test_nothing_in_a_step_looks_at_a_tensor(function): assert waits(function) == []

def test_the_look_finds_what_waits():
    def bad(x, device):
        y = x[x.nonzero()[:, 0]].sum().item() if x.any() else x.to(device)
        return torch.tensor([1., 2.], device=device), float(y)
    found = ['float', 'torch.tensor', 'x.any()', 'x.nonzero', 'x.to', 'x[x.nonzero()[:, 0]].sum().item']
    assert sorted(waits(bad)) == found
    def worse(x, counts):
        while x.sum() > 1: x = x[x > 0]
        if torch.isfinite(x).all(): x[x == 0] = 1
        return torch.where(x), torch.equal(x, counts)
    found = ['torch.equal', 'torch.isfinite(x)', 'torch.isfinite(x).all()', 'torch.where', 'x.sum()']
    assert sorted(waits(worse)) == [*found, 'x[x == 0]', 'x[x > 0]']

@pytest.mark.skipif(not torch.cuda.is_available(), reason='counts what makes a GPU wait')
@pytest.mark.parametrize('kind', ['puzzles', 'poses'])
@pytest.mark.parametrize('parts', [1, 2])
def test_no_step_waits_for_the_gpu(kind, parts, recwarn):
    people = studio('train', True).subset(range(64))
    class Watch(Callback):
        "From the third step to the last but one"
        order, counts = 101, []
        def before_train(self): self.switch('default')
        def after_batch(self):
            if self.training and self.iter == 2: self.switch('warn')
            if self.training and self.iter == self.n_iter - 2: self.switch('default')
        def switch(self, mode): torch.cuda.set_sync_debug_mode(mode)
    if kind == 'puzzles':
        crops = people.view(size=(72, 72))
        learn = pretrain.pretrain_learner(crops, crops.subset(range(4)), compact(9, width=8), 3, 64, batch=8,
                                          cbs=[Watch()])
    else:
        crops = people.view(size=(96, 64), margin=1.25)
        learn = finetune.pose_learner(crops, crops.subset(range(4)), compact(17, width=8), batch=8,
                                      normal=True, half_body=.3, colour=ColourAugment(), cbs=[Watch()])
    learn.parts = parts
    quiet(learn, 1)
    assert not [w for w in recwarn if 'synchroniz' in str(w.message)]

TWO = '''
import io, contextlib, json, sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from hsjp.processes import all_rows, join_processes, processes
from test_step import Asleep, Gradients, loaders, quiet, small
from hsjp.pretrain import JigsawPrecision
from hsjp.runs import Run
torch.set_num_threads(1)
join_processes('cpu')
rank, count = processes()
dls = loaders(train=False, batch=8//count)                      # puzzles by number, nothing drawn
watch, run = Gradients(), Run(None, 'jigsaw', {}, ())
learn = small(dls, cbs=[Asleep(), watch])
learn.metrics = [JigsawPrecision(8., False)]
quiet(learn, 3, run=run)
rows = [[r[k] for k in ('train_loss', 'valid_loss', 'patches', 'seen')] for r in run.rows]
weights = sum(p.double().abs().sum().item() for p in learn.model.parameters())
gathered = all_rows(torch.arange(7)[rank::count, None]).flatten().tolist()
order = dls.train.get_idxs()
said = dict(rows=rows, steps=watch.losses, weights=weights, gathered=gathered, order=list(order))
Path(sys.argv[1]).with_suffix(f'.{rank}').write_text(json.dumps(said))
'''

def torchrun(*words):
    "Two processes; what they print"
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]), OMP_NUM_THREADS='1')
    start = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    run = subprocess.run([*start, *map(str, words)], capture_output=True, text=True, env=env)
    return run.returncode, run.stdout + run.stderr

def tune(out, batch=8, parts=1):
    "Fine-tuning without chance of a network that knows poses; 13 unseen people do not divide by two"
    torch.set_num_threads(1)
    model, about = load_checkpoint('pose-studio')
    train, valid = (studio(s, True).subset(range(k)).view(size=about['size'])
                    for s, k in (('train', 26), ('valid', 13)))
    recipe = FinetuneRecipe(2, batch=batch, affine=(0, 0, 0), warmup=2)
    return finetune.finetune(train, valid, model, recipe, 1, out=out, flip=0., bf16=False, device='cpu',
                             cbs=[Asleep()], accumulate=parts)

TUNE = '''
import sys
sys.path.insert(0, sys.argv[1])
from test_step import tune
tune(sys.argv[2], *map(int, sys.argv[3:]))
'''

@pytest.mark.slow
def test_two_processes_fine_tune_as_one(tmp_path):
    "The same global batch, here in parts, batch normalisation in evaluation mode: all to 1e-4"
    with contextlib.redirect_stdout(io.StringIO()): rows = tune(tmp_path/'one')
    (tmp_path/'two.py').write_text(TUNE)
    code, said = torchrun(tmp_path/'two.py', Path(__file__).parent, tmp_path/'two', 8, 2)
    assert code == 0 and said.count('epoch 0') == 1, said
    one, two = (load_checkpoint(tmp_path/name/'last.pt') for name in ('one', 'two'))
    keys = 'seen', 'train_loss', 'valid_loss', finetune.PoseAP.name
    both = [torch.tensor([[r[k] for k in keys] for r in rs]) for rs in (rows, two[1]['rows'])]
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-6)
    assert 20 < rows[-1][finetune.PoseAP.name] < 100 and rows[-1]['seen'] == 48
    for a, b in zip(one[0].parameters(), two[0].parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)

@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_a_sentence(tmp_path):
    (tmp_path/'two.py').write_text(TUNE)
    code, said = torchrun(tmp_path/'two.py', Path(__file__).parent, tmp_path/'two', 7)
    assert code and 'batch is 7; expected a multiple of the number of processes, 2' in said

def test_two_processes_give_the_losses_of_one(tmp_path):
    "The same global batch, batch normalisation in evaluation mode: losses, metrics and weights to 1e-4"
    import json
    (tmp_path/'two.py').write_text(TWO)
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]), OMP_NUM_THREADS='1')
    here = str(Path(__file__).parent)
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    for name, start in (('one', [sys.executable]), ('two', torchrun)):
        words = [*start, str(tmp_path/'two.py'), str(tmp_path/name), here]
        run = subprocess.run(words, capture_output=True, text=True, env=env)
        assert run.returncode == 0, run.stdout + run.stderr
    read = lambda name: json.loads((tmp_path/name).read_text())
    one, a, b = read('one.0'), read('two.0'), read('two.1')
    close = lambda x, y: torch.testing.assert_close(torch.tensor(x), torch.tensor(y), rtol=1e-4, atol=1e-6)
    close(a['rows'], one['rows'])
    close(b['rows'], one['rows'])
    close([(x + y)/2 for x, y in zip(a['steps'], b['steps'])], one['steps'])
    close([a['weights'], b['weights']], [one['weights']]*2)
    assert a['gathered'] == b['gathered'] == one['gathered'] == list(range(7))
    assert not set(a['order']) & set(b['order']) and len(a['order']) == len(b['order']) == 10
