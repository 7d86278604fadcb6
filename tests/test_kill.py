"Trainings killed at random moments: what is on disk stays whole, and they end as if nothing had happened"
import multiprocessing
import random
import signal
import time

import pandas as pd
import pytest
import torch

from hsjp.finetune import FinetuneRecipe, finetune
from hsjp.models import hrnet
from hsjp.people import mannequins
from hsjp.pretrain import Stage, pretrain
from hsjp.runs import differences
from hsjp.weights import load_checkpoint

pytestmark = pytest.mark.slow
EPOCHS, KILLS = 8, 10
CONTEXT = multiprocessing.get_context('forkserver')  # imports once, then forks a process for each start
CONTEXT.set_forkserver_preload(['hsjp.pretrain', 'hsjp.finetune'])

def people():
    some = lambda split, k: mannequins(split, True).subset(range(k)).view(size=(32, 32))
    return some('train', 24), some('valid', 12)

def network(outputs):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return hrnet(outputs, 4)

def puzzles(out, resume):
    stages = [Stage(n, 32, EPOCHS//2, .2, 1e-3, 8, 4, .4, ()) for n in (2, 3)]
    pretrain(*people(), network(4), stages, out, resume=resume, bf16=False, device='cpu')

def poses(out, resume):
    recipe = FinetuneRecipe(EPOCHS, batch=8, sigma=1., warmup=4)
    finetune(*people(), network(17), recipe, every=2, out=out, resume=resume, bf16=False, device='cpu')

def start(train, out):
    "The training in a process of its own; it goes on where the folder holds a run"
    process = CONTEXT.Process(target=train, args=(out, (out/'last.pt').is_file()))
    process.start()
    return process

def finish(train, out):
    process = start(train, out)
    process.join()
    assert process.exitcode == 0

def kill(process):
    "Was it still running?"
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL

def epochs_done(out):
    file = out/'history.csv'
    return len(file.read_text().splitlines()) - 1 if file.is_file() else 0

def wait(process, out, epochs, saving=False):
    "Until so many epochs are done, and a file is half written if that is wanted"
    ready = lambda: epochs_done(out) >= epochs and (not saving or any(out.glob(f'*.{process.pid}.part')))
    while process.is_alive() and not ready(): time.sleep(.002)

def contents(out):
    "What every file of the folder holds, without the seconds; each has to be whole"
    states = {file.name: load_checkpoint(file)[1] for file in out.glob('*.pt')}
    for row in states.get('last.pt', {}).get('rows', []): del row['seconds']
    csv = out/'history.csv'
    return {**states, csv.name: pd.read_csv(csv).drop(columns='seconds')} if csv.is_file() else states

def unlike(a, b, name=''):
    "Where two contents differ, bit for bit"
    if torch.is_tensor(a): return [] if torch.equal(a, b) else [name]
    if isinstance(a, pd.DataFrame): return [] if a.equals(b) else [name]
    if isinstance(a, dict) and a.keys() == b.keys():
        return [found for k in a for found in unlike(a[k], b[k], f'{name} {k}')]
    return differences(a, b, name)

@pytest.fixture(scope='module', params=[puzzles, poses])
def unbroken(request, tmp_path_factory):
    "A training, the folder of its run that nobody killed, the seconds of its start and of an epoch"
    train, out = request.param, tmp_path_factory.mktemp('unbroken')
    kill(start(train, out))             # the first start is long: it imports
    clock = time.perf_counter()
    finish(train, out)
    took, epochs = time.perf_counter() - clock, pd.read_csv(out/'history.csv').seconds.iloc[-1]
    return train, out, took - epochs, epochs/EPOCHS

def check_same(train, out, killed):
    "Let the killed run end; its folder is that of the run that nobody killed"
    names = {p.name for p in out.iterdir()}
    strange = [p.name for p in killed.iterdir() if p.name not in names and p.suffix != '.part']
    assert not strange
    finish(train, killed)
    assert {p.name for p in killed.iterdir()} == names
    assert unlike(contents(out), contents(killed)) == []

def test_a_run_killed_at_ten_random_moments_ends_like_one_never_killed(unbroken, tmp_path):
    train, out, start_seconds, epoch_seconds = unbroken
    draw, kills = random.Random(train.__name__), 0
    for moment in sorted(draw.uniform(0, EPOCHS) for _ in range(KILLS)):
        process, there = start(train, tmp_path), epochs_done(tmp_path) >= int(moment)
        wait(process, tmp_path, int(moment))
        process.join(moment % 1*(epoch_seconds + there*start_seconds))
        kills += kill(process)
        contents(tmp_path)
    assert kills >= KILLS/2     # on a machine whose speed changes, a run may end before its moment
    check_same(train, out, tmp_path)

def test_a_run_killed_while_it_saves_ends_like_one_never_killed(unbroken, tmp_path):
    train, out, *_ = unbroken
    for done in range(0, EPOCHS, 3):
        process = start(train, tmp_path)
        wait(process, tmp_path, done, saving=True)
        assert kill(process)
        contents(tmp_path)
    check_same(train, out, tmp_path)
