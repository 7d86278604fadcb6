"Runs that lose nothing: what is refused, what ends a run, and that fine-tuning goes on where it stopped"
import math

import pytest
import torch
from fastai.callback.core import Callback

from hsjp.cli import main
from hsjp.finetune import FinetuneRecipe, finetune
from hsjp.models import hrnet
from hsjp.people import mannequins
from hsjp.pretrain import Collapse, Stage, pretrain
from hsjp.runs import Run, check_writable, differences
from hsjp.skeleton import COCO, Skeleton
from hsjp.weights import load_checkpoint


@pytest.fixture
def few(): return [mannequins(s, True).subset(range(16)).view(size=(32, 32)) for s in ('train', 'valid')]

class At(Callback):
    "Do something to the network before a step of an epoch"
    order = 90
    def __init__(self, epoch, do): self.at, self.do = epoch, do
    def before_batch(self):
        if self.training and self.epoch == self.at: self.do(self.learn.model)

def as_lists(state):
    "Tensors as lists, so that two states can be compared value by value"
    if torch.is_tensor(state): return state.tolist()
    if isinstance(state, dict): return {k: as_lists(v) for k, v in state.items()}
    return [as_lists(v) for v in state] if isinstance(state, (list, tuple)) else state

def poison(model): model.conv1.weight.data[0, 0, 0, 0] = math.nan

def stop(model): raise KeyboardInterrupt

def test_nan_ends_a_run_and_the_last_good_weights_stay(few, tmp_path):
    stages = [Stage(2, 32, 3, .2, 1e-3, 8, 0, 0., ())]
    with pytest.raises(ValueError, match='^the loss or a weight is no longer finite at step 1 of epoch 1'):
        pretrain(*few, hrnet(4, 8), stages, tmp_path, log=lambda s: None, bf16=False, cbs=[At(1, poison)])
    model, state = load_checkpoint(tmp_path/'last.pt')          # which refuses NaN
    assert len(state['rows']) == 1 and load_checkpoint(tmp_path/'best.pt')

def test_a_collapse_ends_a_run():
    collapse = Collapse(2)
    class Recorder: metric_names, values = ['epoch', 'valid_loss', 'patches'], [(.1, .9)]
    class Learn: recorder, epoch, opt = Recorder, 3, type('opt', (), {'hypers': [{'lr': 2e-3}]})
    collapse.learn = Learn
    collapse.after_epoch()
    Recorder.values = [(.2, .25)]
    with pytest.raises(ValueError, match='collapsed at epoch 3'): collapse.after_epoch()

def test_a_folder_with_a_run_is_refused_and_other_files_stay(tmp_path):
    (tmp_path/'mine.pt').write_text('not ours')
    (tmp_path/'last.pt.7.part').write_text('half')
    (tmp_path/'photos.zip.part').write_text('of another program')
    Run(tmp_path, 'pose', dict(lr=1.), ('AP',)).save('last.pt', hrnet(4, 8), rows=[])
    assert [p.name for p in tmp_path.glob('*.part')] == ['photos.zip.part']
    with pytest.raises(ValueError, match='holds a run already'): Run(tmp_path, 'pose', dict(lr=1.), ('AP',))
    with pytest.raises(ValueError, match=r'lr is 1\.0 there and 2\.0 here'):
        Run(tmp_path, 'pose', dict(lr=2.), ('AP',), resume=True)
    Run(tmp_path, 'pose', dict(lr=2.), ('AP',), overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {'mine.pt', 'photos.zip.part'}
    with pytest.raises(FileNotFoundError, match='no run'): Run(tmp_path, 'pose', {}, ('AP',), resume=True)

def test_an_unwritable_folder_is_a_sentence(tmp_path):
    (tmp_path/'file').write_text('')
    with pytest.raises(OSError, match='cannot be written'): check_writable(tmp_path/'file'/'below')

def test_fine_tuning_goes_on_bit_for_bit(few, tmp_path):
    recipe = FinetuneRecipe(epochs=4, batch=8, warmup=2, sigma=1.)
    def run(out, **kwargs):
        torch.manual_seed(0)
        model = hrnet(17, 8)
        return model, finetune(*few, model, recipe, every=2, out=out, bf16=False, **kwargs)
    whole, rows = run(tmp_path/'whole')
    with pytest.raises(KeyboardInterrupt): run(tmp_path/'halved', cbs=[At(2, stop)])
    resumed, again = run(tmp_path/'halved', resume=True)
    drop = lambda rows: [{k: v for k, v in r.items() if k != 'seconds'} for r in rows]
    assert drop(again) == drop(rows) and 'AP (gt boxes)' in rows[-1]
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()))
    assert {'last.pt', 'best.pt', 'history.csv'} <= {p.name for p in (tmp_path/'halved').iterdir()}
    states = [load_checkpoint(tmp_path/name/'last.pt')[1]['opt'] for name in ('whole', 'halved')]
    assert differences(*map(as_lists, states)) == []  # the optimiser's too, its rate to the last digit

def test_another_order_of_keypoints_is_refused(few):
    few[1].skeleton = Skeleton(COCO.names[::-1], [], [], COCO.sigmas)
    with pytest.raises(ValueError, match='expected the same, in the same order'):
        finetune(*few, hrnet(17, 8), FinetuneRecipe(epochs=1, batch=8))

@pytest.mark.parametrize('words', [
    ['pretrain', '--size', '100'], ['pretrain', '--depth', '19'], ['pretrain', '--workers', '-1'],
    ['finetune', '--batch', '0'], ['finetune', '--epochs', '-1'], ['finetune', '--lr', 'nan'],
    ['finetune', '--weights', 'nowhere.pt']])
def test_arguments_are_checked_before_any_work(words, tmp_path):
    try: code = main([*words, '--out', str(tmp_path/'out')])
    except SystemExit as e: code = e.code
    assert code == 2 and not (tmp_path/'out'/'crops').exists()

@pytest.mark.parametrize('train', ['puzzles', 'poses'])
def test_options_that_change_what_is_learnt_are_part_of_the_recipe(train, few, tmp_path):
    "Where they are as usual the recipe says nothing, as before there were options"
    people = [p.subset(range(8)) for p in few]
    def run(out, **options):
        torch.manual_seed(0)
        common = dict(out=tmp_path/out, bf16=False, **options)
        if train == 'puzzles':
            pretrain(*(p.view(size=(36, 36)) for p in people), hrnet(4, 4), [Stage(2, 32, 1, batch=8)],
                     log=lambda s: None, **common)
        else: finetune(*people, hrnet(17, 4), FinetuneRecipe(epochs=1, batch=8, sigma=1.), **common)
        return load_checkpoint(tmp_path/out/'last.pt')[1]['recipe']
    plain, shaped = run('plain', accumulate=1, ema=0., sync_bn=False), run('shaped', accumulate=2, ema=.9)
    said = ['accumulate is None there and 2 here', 'ema is None there and 0.9 here']
    assert differences(plain, shaped) == said
    assert not {'accumulate', 'ema', 'sync_bn'} & set(plain) and run('plain', resume=True) == plain
    with pytest.raises(ValueError, match='ema is 0.9 there and None here'):
        run('shaped', accumulate=2, resume=True)
    assert run('shaped', accumulate=2, ema=.9, resume=True) == shaped
