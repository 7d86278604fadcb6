"The paper's tables and figures: which recipes they are, how they are run, stored and drawn"
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from hsjp.arguments import parser
from hsjp.cli import main
from hsjp.errors import KINDS
from hsjp.experiments import THRESHOLDS, puzzle_folder
from hsjp.figures import (
    EQUAL,
    RESCALED,
    partners,
    puzzles_picture,
    puzzles_table,
    schedules_table,
    sizes_table,
    stored_study,
)
from hsjp.recipes import EASY, HARD, Data, content_of, people_of, plan, work
from hsjp.study import STUDIES, base_of, counts_of, equal_work, recipes_of, write_study
from hsjp.sweep import minutes, steps_of


@pytest.fixture(scope='module')
def people(): return people_of(Data())

@pytest.mark.parametrize('name, small, paper', [
    ('table1', 4, 6), ('table2', 10, 5), ('table3', 9, 16), ('fig3', 4, 6), ('fig4', 4, 6), ('fig5', 6, 6),
    ('fig6', 15, 18), ('puzzles', 27, 7), ('sizes', 17, 7)])
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
    mannequins = people_of(Data('mannequins'))
    few = [r for r in recipes_of('fig6', 'small', Data('mannequins'), mannequins) if 'equal' not in r.start]
    assert [work(r, mannequins)[1] for r in few] == pytest.approx([32_000]*10, rel=.05)
    assert few[-1].labels == len(mannequins[1])
    counts = steps_of(recipes_of('fig5', 'small', Data(), people), people)
    assert sum(counts.values()) == pytest.approx(work(base, people)[0] + 6*work(base, people)[1])

TOTALS = (10_000, 30_000, 60_000, 120_000)

@pytest.mark.parametrize('data, budget', [(Data(), EASY), (Data('mannequins'), HARD)])
def test_fewer_puzzles_are_those_of_the_plan(data, budget):
    "The same runs as those of a budget with so many puzzles; the longest is the base of the other studies"
    people, fair = people_of(data), (True,)*len(budget.labels)
    planned = {r.name for seed in (0, 1) for p in TOTALS
               for r in plan(replace(budget, puzzles=counts_of(p), fair=fair), people, data, seed)}
    assert {r.name for r in recipes_of('puzzles', 'small', data, people, (0, 1))} == planned
    assert base_of('small', data, people).name in planned

def test_the_numbers_of_puzzles_of_table_2(people):
    recipes = recipes_of('table2', 'small', Data(), people)
    assert {r.pretext.stages[0].lr for r in recipes} == {6e-4, 2e-3, 6e-3, 2e-2, 6e-2, .2}
    shown = sorted({work(r, people)[0] for r in recipes})
    assert shown == pytest.approx([10_000, 30_000, 60_000, 120_000, 300_000], rel=.11)
    fewer = {r.name for r in recipes_of('puzzles', 'small', Data(), people) if r.pretext and r.labels == 250}
    assert len(fewer & {r.name for r in recipes}) == 4

def fewer_puzzles(recipes, people):
    "Rows as runs of the recipes would give them; AP says which run it is"
    rows = []
    for i, r in enumerate(recipes):
        solved, pictures = work(r, people)
        rows.append(dict(network=r.network.name, labels=r.labels, start=r.start, seed=r.seed, AP=10. + i,
                         puzzles=solved, pictures=pictures, run=r.name,
                         epochs=sum(s.epochs for s in r.pretext.stages) if r.pretext else None))
    return pd.DataFrame(rows)

@pytest.mark.parametrize('size, k', [('small', 24), ('paper', 6)])
def test_pairs_of_equal_work(size, k, people):
    "Each run with puzzles finds the one that was made for it, whatever order the rows have"
    recipes = recipes_of('puzzles', size, Data(), people, (0, 1))
    rows = fewer_puzzles(recipes, people)
    both = partners(rows.sample(frac=1, random_state=0))
    assert both.start.value_counts().to_dict() == {'HSJP': k, EQUAL: k}
    of = {r.name: r for r in recipes}
    for r in both[both.start == 'HSJP'].itertuples():
        alike = (both.seed == r.seed) & (both.labels == r.labels) & (both.puzzles == r.puzzles)
        theirs = of[both[alike & (both.start == EQUAL)].run.item()]
        if size == 'paper': assert theirs.name == equal_work(of[r.run], people).name
        else: assert sum(work(theirs, people)) == pytest.approx(sum(work(of[r.run], people)), rel=.1)
    table = puzzles_table(rows)
    assert len(table) == k/2 and (table.seeds == 2).all() and table.gain.notna().all()

def test_some_runs_of_equal_work_are_missing(people):
    rows = fewer_puzzles(recipes_of('puzzles', 'small', Data(), people, (0, 1)), people)
    long = (rows.start == EQUAL) & (rows.pictures > 100_000)
    for some in (rows[~long], rows[rows.start == 'HSJP'], rows[rows.seed == 1],
                 rows[~long & (rows.labels == 75)],
                 rows.assign(AP=rows.AP.where(rows.puzzles != rows.puzzles.max()))):
        table, fig = puzzles_table(some), plt.figure()
        assert len(puzzles_picture(some, fig.add_subplot()).lines)
        plt.close(fig)
        there = some[some.start == 'HSJP'].dropna(subset='AP')
        assert len(table) == len(there.groupby(['labels', 'puzzles'])) and table.HSJP.notna().all()
    table = puzzles_table(rows[~long])
    assert table[table.gain.isna()].puzzles.nunique() == 1 and table[EQUAL].notna().sum() == 9

def test_sizes_rescale_the_puzzles_of_table_2(people, tmp_path):
    "The same puzzles, which are solved once; what starts with them differs"
    recipes = recipes_of('sizes', 'small', Data(), people)
    plain, again = ([r for r in recipes if r.start == start] for start in ('HSJP', RESCALED))
    rates, labels = (recipes_of(name, 'small', Data(), people) for name in ('table2', 'fig6'))
    assert {r.name for r in plain} <= {r.name for r in [*rates, *labels]}
    assert [puzzle_folder(r, tmp_path) for r in plain] == [puzzle_folder(r, tmp_path) for r in again]
    assert all(r.rescaled for r in again) and not {r.name for r in plain} & {r.name for r in again}
    run = dict(network='compact', labels=250, seed=0)
    rows = pd.DataFrame([run | dict(start=start, lr=lr, AP=ap) for start, lr, ap in (
        ('HSJP', .002, 44.), (RESCALED, .002, 45.), ('HSJP', .02, 28.), (RESCALED, .02, 46.))])
    table = sizes_table(rows).set_index('lr')
    assert table.loc['0.02', ['HSJP', RESCALED, 'gain']].tolist() == [28, 46, 18] and (table.seeds == 1).all()

def test_collapsed_runs_are_counted():
    "A run that collapsed has seen fewer puzzles, and stands beside others of its rate; also one at chance"
    run = dict(network='compact', start='HSJP', seed=0, AP=40., **{'PCK@0.1': 80.}, patches=.5, solved=0.,
               n=3, puzzles=119_040, pictures=12_000, lr=2e-3, epochs=40, note='')
    fallen = run | dict(AP=None, lr=.2, puzzles=7_000, pictures=0, note='collapsed')
    chance = run | dict(lr=2e-2, patches=.12)
    rows = pd.DataFrame([run, run | dict(seed=1), run | dict(puzzles=30_000, epochs=9), fallen, chance])
    table = schedules_table(rows).set_index(['lr', 'puzzles'])
    assert table.collapsed['0.2'].tolist() == table.collapsed['0.02'].tolist() == [1]
    assert table.collapsed['0.002'].sum() == 0
    assert set(table.loc['0.002'].index) == {119_040, 30_000}

@pytest.mark.parametrize('name', STUDIES)
def test_stored_rows_make_a_table_and_a_picture(name, tmp_path):
    rows, open_before = stored_study(name), plt.get_fignums()
    table = write_study(name, 'small', rows, tmp_path)
    assert len(table) and table.filter(regex='AP|good|gain').notna().any(axis=None)
    assert {p.suffix for p in tmp_path.glob(f'{name}*')} == {'.csv', '.txt', '.png'}
    assert STUDIES[name].question in (tmp_path/f'{name}.txt').read_text()
    assert plt.get_fignums() == open_before

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

def test_stored_runs_are_small_ones(tmp_path, capsys):
    assert main(['study', 'fig6', '--stored', '--size', 'paper', '--out', str(tmp_path)]) == 2
    assert 'expected --stored with --size small' in capsys.readouterr().err

def test_solved_puzzles_take_no_time(people, tmp_path):
    r = recipes_of('fig5', 'small', Data(), people)[0]
    before = sum(steps_of([r], people, tmp_path).values())
    puzzle_folder(r, tmp_path).mkdir()
    (puzzle_folder(r, tmp_path)/'metrics.json').write_text('{}')
    assert before - sum(steps_of([r], people, tmp_path).values()) == work(r, people)[0] > 0

def test_other_people_under_one_name_are_other_experiments(people):
    there = Data('people.json', content=content_of(people))
    fewer = Data('people.json', content=content_of([p.subset(range(50)) for p in people]))
    a, b = (recipes_of('fig5', 'small', data, people)[0] for data in (there, fewer))
    assert a.name != b.name and there == Data('people.json', content=content_of(people_of(Data())))

def test_a_copy_in_another_folder_is_the_same_experiment(people):
    "Of a json, that is, whose content is known; without it the path counts"
    def names(folder, pictures, **content):
        data = Data(f'{folder}people.json', pictures, f'{folder}unseen.json', **content)
        r = recipes_of('fig5', 'small', data, people)[0]
        return r.name, puzzle_folder(r, '')
    known = dict(content=content_of(people))
    assert names('', None, **known) == names('/there/', '/there/val2017', **known)
    assert not set(names('', None)) & set(names('/there/', None) + names('', None, **known))
