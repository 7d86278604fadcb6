"The paper's tables and figures: which recipes they are, how they are run, stored and drawn"
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from hsjp.arguments import parser
from hsjp.cli import main
from hsjp.errors import KINDS
from hsjp.experiments import THRESHOLDS
from hsjp.recipes import EASY, Data, content_of, people_of, work
from hsjp.study import STUDIES, base_of, equal_work, recipes_of, stored_study, write_study
from hsjp.sweep import minutes, steps_of


@pytest.fixture(scope='module')
def people(): return people_of(Data())

@pytest.mark.parametrize('name, small, paper', [
    ('table1', 4, 6), ('table2', 8, 5), ('table3', 9, 16), ('fig3', 4, 6), ('fig4', 4, 6), ('fig5', 6, 6),
    ('fig6', 15, 18)])
def test_each_study_has_its_recipes_once(name, small, paper, people):
    for size, count in (('small', small), ('paper', paper)):
        recipes = recipes_of(name, size, Data(), people)
        assert len(recipes) == count == len({r.name for r in recipes})
        assert {r.name for r in recipes_of(name, size, Data(), people, (0, 1))} > {r.name for r in recipes}

def test_the_paper_size_is_the_paper(people):
    base = base_of('paper', Data(), people)
    stage, = base.pretext.stages
    assert (stage.n, stage.size, stage.epochs, stage.lr, stage.batch) == (6, 224, 240, 1e-3, 256)
    assert base.pretext.kernel == 23 and not base.pretext.inside and base.pretext.pad == 1.25
    assert (base.tuning.epochs, base.tuning.size, base.labels) == (210, (256, 192), 1.)
    assert equal_work(base, people).tuning.epochs == 450
    rates = {r.pretext.stages[0].lr for r in recipes_of('table2', 'paper', Data(), people)}
    epochs = {r.pretext.stages[0].epochs for r in recipes_of('table2', 'paper', Data(), people)}
    assert rates == {3e-4, 1e-3, 2e-3} and epochs == {120, 240, 480}
    assert {r.labels for r in recipes_of('fig6', 'paper', Data(), people)} == {k/10 for k in range(1, 10)}
    frozen = [r.tuning.freeze for r in recipes_of('fig5', 'paper', Data(), people)]
    assert frozen == [None, 0, 1, 2, 3, 4]

def test_small_budgets_are_alike(people):
    "Every N is shown as many puzzles; equal work is as many pictures"
    shown = [work(r, people)[0] for r in recipes_of('table3', 'small', Data(), people) if r.pretext]
    assert max(shown) <= 1.01*min(shown)
    base = base_of('small', Data(), people)
    assert work(equal_work(base, people), people)[1] == pytest.approx(sum(work(base, people)), rel=.02)
    counts = steps_of(recipes_of('fig5', 'small', Data(), people), people)
    assert sum(counts.values()) == pytest.approx(work(base, people)[0] + 6*work(base, people)[1])

@pytest.mark.parametrize('name', STUDIES)
def test_stored_rows_make_a_table_and_a_picture(name, tmp_path):
    rows = stored_study(name)
    table = write_study(name, 'small', rows, tmp_path)
    assert len(table) and table.filter(regex='AP|good|gain').notna().any(axis=None)
    assert {p.suffix for p in tmp_path.glob(f'{name}*')} == {'.csv', '.txt', '.png'}
    assert STUDIES[name].question in (tmp_path/f'{name}.txt').read_text()
    assert not plt.get_fignums()

def test_stored_rows_are_runs_of_the_studies(people):
    rows = stored_study()
    assert not rows.run.duplicated().any() and rows.AP.between(0, 100).all()
    names = {r.name for study in STUDIES for r in recipes_of(study, 'small', Data(), people, range(3))}
    assert set(rows.run[rows.studies.notna()]) <= names

def test_commands_are_one_a_run_and_name_it(capsys):
    assert main('study fig5 --commands --seeds 2'.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert all(s.startswith('hsjp study fig5 --seeds 2 --only studio-250-HSJP') for s in lines)

def test_a_study_runs_says_its_minutes_and_is_stored(monkeypatch, tmp_path, capsys):
    tiny = replace(EASY, puzzles=(32,), size=(64, 64), labels=(4,), pictures=(500,), fair=(False,))
    monkeypatch.setattr('hsjp.study.EASY', tiny)
    words = ['study', 'fig5', '--jobs', '1', '--out', str(tmp_path)]
    assert main([*words, '--only', 'nobody']) == 2
    assert 'nobody is no run of fig5' in capsys.readouterr().err
    assert main(words) == 0
    said = capsys.readouterr().out
    assert '6 runs, 1 at a time: about' in said and 'Which layers may stay' in said
    rows = pd.read_csv(tmp_path/'fig5-rows.csv')
    assert len(rows) == 6 and (tmp_path/'fig5.png').stat().st_size > 5000
    assert main(words) == 0 and 'about 0 minutes' in capsys.readouterr().out

def test_minutes_count_what_is_left(people, tmp_path):
    recipes = recipes_of('fig5', 'small', Data(), people)
    assert minutes(recipes, people, 1, tmp_path) > 0
    for r in recipes:
        (tmp_path/r.name).mkdir()
        (tmp_path/r.name/'metrics.json').write_text('{}')
    assert minutes(recipes, people, 1, tmp_path) == 0

@pytest.mark.parametrize('words, want', [
    ('--recipe paper', [(6, 240, 1e-3)]), ('--recipe paper --n 4 --lr 3e-4 --epochs 120', [(4, 120, 3e-4)]),
    ('', [(2, 4, 2e-3), (3, 18, 2e-3), (4, 18, 2e-3)]), ('--n 3', [(2, 4, 2e-3), (3, 18, 2e-3)]),
    ('--n 5 --epochs 7', [(n, 7, 2e-3) for n in (2, 3, 4, 5)]),
    ('--puzzles 6000 9000 --n 4 --lr 1e-3', [(2, 2, 1e-3), (3, 3, 1e-3), (4, 3, 1e-3)])])
def test_the_paper_knobs_of_pretraining(words, want):
    from hsjp.train_commands import _stages
    stages = _stages(parser().parse_args(['pretrain', *words.split()]), 3000)
    assert [(s.n, s.epochs, s.lr) for s in stages] == want

@pytest.mark.parametrize('words, side, reach, channels', [
    ('--recipe paper', 228, 11, 3), ('--recipe paper --n 5 --original', 225, 11, 6),
    ('--original', 72, 6., 6)])
def test_the_paper_recipe_cuts_its_own_canvas(words, side, reach, channels, monkeypatch, tmp_path):
    seen = {}
    def pretrain(train, valid, model, stages, *args, colour, **kwargs):
        seen.update(size=train.size, inside=train.inside, reach=colour.reach,
                    channels=model.config['in_channels'])
    monkeypatch.setattr('hsjp.pretrain.pretrain', pretrain)
    monkeypatch.setattr('hsjp.crops.crop_cache', lambda persons, *args, **kwargs: persons)
    assert main(['pretrain', '--data', 'studio', *words.split(), '--out', str(tmp_path)]) == 0
    assert seen == dict(size=(side, side), inside='paper' not in words, reach=reach, channels=channels)

def test_epochs_scale_the_drops(capsys):
    from hsjp.finetune import paper_hrnet
    from hsjp.train_commands import _tell_drops
    _tell_drops(replace(paper_hrnet, epochs=450))
    assert capsys.readouterr().out == '450 epochs; the learning rate falls to a tenth after 364 and 429\n'

def test_pictures_and_tables_at_the_paper_size(people, tmp_path):
    "Every start that the paper has, in every picture"
    rows = []
    for r in recipes_of('table1', 'paper', Data(), people):
        stage = r.pretext and r.pretext.stages[-1]
        percent = dict.fromkeys(['PCK@0.1', *THRESHOLDS, *KINDS], 50.)
        rows.append(dict(data='coco', network=r.network.name, labels=100, start=r.start, seed=0, AP=70.,
                         n=stage and 6, lr=stage and 1e-3, puzzles=0, pictures=1, patches=.4, solved=.3,
                         **percent))
    for name in ('table1', 'fig3', 'fig4'):
        write_study(name, 'paper', pd.DataFrame(rows), tmp_path)
        assert (tmp_path/f'{name}.png').stat().st_size > 5000

def test_other_people_under_one_name_are_other_experiments(people):
    there = Data('people.json', content=content_of(people))
    fewer = Data('people.json', content=content_of([p.subset(range(50)) for p in people]))
    a, b = (recipes_of('fig5', 'small', data, people)[0] for data in (there, fewer))
    assert a.name != b.name and there == Data('people.json', content=content_of(people_of(Data())))
