"The demo at test size, its report and its table; and the weights that ship"
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hsjp.cli import main
from hsjp.demo import compare
from hsjp.experiments import measure
from hsjp.people import few_labels, mannequins, studio
from hsjp.pretrain import puzzle_view, solve
from hsjp.recipes import Budget, Data, people_of, plan, work
from hsjp.report import show_bars, stored_demo, summary, table_of, write_report
from hsjp.sweep import Count, WholeBar
from hsjp.weights import load_checkpoint, shipped

SMALL = Budget(puzzles=(512, 512), puzzle_size=32, size=(64, 64), labels=(4, .25), pictures=(500, 504),
               fair=(True, False), width=4)
SHIPPED = ['pose-mannequins', 'pose-studio', 'puzzles-2', 'puzzles-3']

@pytest.fixture(scope='module')
def result(tmp_path_factory):
    out, said = tmp_path_factory.mktemp('demo'), []
    few = [s.subset(range(32)) for s in people_of(Data())]
    return compare(few, out, SMALL, (3,), log=said.append) | dict(said=said, out=out, quick=False)

def test_every_start_has_a_row_with_its_work(result):
    rows = result['rows'].set_index(['labels', 'start'])
    assert list(rows.index) == [(4, 'scratch'), (4, 'HSJP'), (4, 'scratch, equal work'),
                                (8, 'scratch'), (8, 'HSJP')]
    assert (rows.puzzles == [0, 1024, 0, 0, 1024]).all() and (rows.seed == 3).all()
    assert rows.pictures[4, 'scratch'] == rows.pictures[4, 'HSJP'] == 496
    assert rows[['AP', 'AP50', 'PCK@0.1', 'PCK@0.05']].map(lambda v: 0 <= v <= 100).all(axis=None)
    for (labels, _), row in rows.iterrows():
        model, checkpoint = load_checkpoint(result['out']/row.run/'pose.pt')
        assert checkpoint['recipe']['labels'] == labels and checkpoint['size'] == [64, 64]
        again, _ = measure(model.to(memory_format=torch.channels_last), result['valid'])
        assert again['AP'] == pytest.approx(row.AP, abs=.5)

def test_time_left_is_said_and_falls_to_nothing(result):
    shares = [int(re.search(r'\[(\d+)% done, about \d+ min left\]', s)[1]) for s in result['said']]
    assert shares == sorted(shares) and shares[-1] >= 95

def test_the_report_is_one_file_that_says_what_it_measured(result, tmp_path):
    page = write_report(result, tmp_path/'report.html', 'a <b> set').read_text(encoding='utf-8')
    assert 'a &lt;b&gt; set' in page and 'With 4 labelled people' in page and 'seed 3' in page
    assert page.count('<img') >= 5 and page.count('src="data:') == page.count('<img')
    assert len(re.findall('alt="[^"]+"', page)) == page.count('<img')

def test_equal_work_is_puzzles_and_pictures_together():
    people = people_of(Data())
    recipes = plan(Budget(fair=(True,)*3), people)
    for r in recipes:
        if 'equal' not in r.start: continue
        ours = next(sum(work(o, people)) for o in recipes if o.start == 'HSJP' and o.labels == r.labels)
        assert work(r, people)[1] == pytest.approx(ours, rel=.03)
    hundred = mannequins('valid', True).subset(range(100))
    assert [r.labels for r in plan(SMALL, (hundred,)*3) if r.start == 'HSJP'] == [4, 25]

def test_the_table_is_the_mean_over_seeds():
    rows = pd.DataFrame([dict(labels=25, start='HSJP', seed=s, AP=ap, AP50=50., **{'PCK@0.1': 80.}, puzzles=9,
                              pictures=8, seconds=60) for s, ap in enumerate((10., 20.))])
    table = table_of(rows)
    assert len(table) == 1 and table.AP[0] == 15 and table.seeds[0] == 2 and table.minutes[0] == 1
    other = rows.assign(start='scratch', AP=5.)
    assert 'AP 15.0' in summary(pd.concat([rows, other])) and '(+10.0)' in summary(pd.concat([rows, other]))
    bars = show_bars(pd.concat([rows, other])).containers
    assert [b.patches[0].get_height() for b in bars] == [5, 15]

def test_few_labels_are_nested_and_counted():
    people = studio('train', True)
    small, large = few_labels(people, 25, 1), few_labels(people, 75, 1)
    assert len(small) == 25 and set(small.ids) < set(large.ids)
    assert set(few_labels(people, 25, 2).ids) != set(small.ids)
    with pytest.raises(ValueError, match='count is 3001'): few_labels(people, 3001)

def test_puzzles_from_windows_inside_the_picture_have_no_black_bar():
    view = puzzle_view(mannequins('valid'), 64)
    assert view.inside and view.size == (72, 72) and not view.labels
    w = view.crop_windows
    assert (w[:, :2] >= 0).all() and (w[:, :2] + w[:, 2:] <= view.sizes[view.picture] + 1e-6).all()

def test_one_bar_takes_the_place_of_the_learners_own():
    class Learn:
        progress, logger = type('P', (), dict(run=True))(), print
        x, training = torch.zeros(4, 3), True
    said = []
    bar = WholeBar(8, said.append)
    count = Count(bar.add)
    count.learn = Learn
    count.before_fit()
    count.after_batch()
    bar.say('half')
    assert Learn.progress.run is False and Learn.logger(1) is None and said[0].startswith('half  [50% done')

def animals(folder, count):
    "A json of so many people of one picture each, as a category of its own"
    people = studio('train', True).subset(range(count))
    images = [dict(id=i, file_name=Path(f).name, width=160, height=160) for i, f in enumerate(people.files)]
    keypoints = np.concatenate([people.points - .5, people.visible[..., None]], 2).reshape(count, -1)
    boxes = [dict(id=i+1, image_id=i, category_id=3, bbox=b.tolist(), area=float(b[2]*b[3]), iscrowd=0,
                  keypoints=k.tolist()) for i, (b, k) in enumerate(zip(people.boxes, keypoints))]
    category = dict(id=3, name='animal', keypoints=people.skeleton.names)
    for f in people.files: shutil.copy(f, folder)
    data = dict(images=images, annotations=boxes, categories=[category])
    (folder/'animals.json').write_text(json.dumps(data))
    return folder/'animals.json'

def test_the_demo_of_a_small_json(tmp_path, capsys, monkeypatch):
    "With a damaged picture, and too few people for two numbers of labels"
    file = animals(tmp_path, 12)
    damaged = tmp_path/Path(studio('train', True).files[3]).name
    damaged.write_bytes(damaged.read_bytes()[:-200])
    small = Budget((32, 32), puzzle_size=32, size=(64, 64), labels=(.03, .1), pictures=(500, 500),
                   fair=(False, False), width=4)
    monkeypatch.setattr('hsjp.demo.HARD', small)
    assert main(['demo', '--data', str(file), '--skip-bad', '--jobs', '1', '--out', str(tmp_path/'o')]) == 0
    rows = pd.read_csv(tmp_path/'o'/'rows.csv')
    assert list(rows.start) == ['scratch', 'HSJP']
    assert 'animals.json' in (tmp_path/'o'/'report.html').read_text(encoding='utf-8')

def test_every_seed_has_its_folder_and_its_rows(tmp_path, monkeypatch):
    small = Budget((32, 32), puzzle_size=32, size=(64, 64), labels=(4,), pictures=(500,), fair=(False,),
                   width=4)
    monkeypatch.setattr('hsjp.demo.HARD', small)
    words = ['demo', '--data', str(animals(tmp_path, 12)), '--seeds', '2', '--seed', '5', '--fair']
    assert main([*words, '--jobs', '1', '--out', str(tmp_path/'o')]) == 0
    rows = pd.read_csv(tmp_path/'o'/'rows.csv')
    assert list(rows.seed) == [5]*3 + [6]*3
    assert list(rows.start[3:]) == ['scratch', 'HSJP', 'scratch, equal work']
    assert pd.read_csv(tmp_path/'o'/'table.csv').seeds.tolist() == [2]*3
    assert all((tmp_path/'o'/name/'pose.pt').is_file() for name in rows.run)

@pytest.mark.parametrize('words', [['--fair'], ['--data', 'mannequins']])
def test_a_quick_demo_is_of_the_studio(words, tmp_path, capsys):
    assert main(['demo', '--quick', *words, '--out', str(tmp_path)]) == 2
    assert 'quick shows the studio' in capsys.readouterr().err

def test_fine_tuning_takes_the_network_of_our_weights(tmp_path):
    words = ['finetune', '--data', str(animals(tmp_path, 12)), '--epochs', '1', '--labels', '1']
    assert main([*words, '--weights', 'puzzles-3', '--out', str(tmp_path/'o')]) == 0
    assert load_checkpoint(tmp_path/'o'/'pose.pt')[0].config['width'] == 16

# what ships

@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_weights_are_small_and_say_how_they_were_made(name):
    path = shipped(name)
    model, checkpoint = load_checkpoint(name)
    assert path.stat().st_size < 3e6 and checkpoint['recipe']['data'] in name or 'puzzles' in name
    assert all(p.dtype == torch.float32 for p in model.parameters()) and 'opt' not in checkpoint
    assert all(v.dtype != torch.float32 for v in checkpoint['model'].values())

def test_all_that_ships_fits_its_bound():
    assert sum(shipped(n).stat().st_size for n in SHIPPED) <= 6e6
    with pytest.raises(ValueError, match="'pose-studio'"): shipped('pose-dogs')

@pytest.mark.parametrize('n, patches, solved', [(2, .97, .95), (3, .5, 0)])
def test_shipped_solvers_solve(n, patches, solved):
    model, view = load_checkpoint(shipped(f'puzzles-{n}'))[0], puzzle_view(studio('valid'), 64, pad=1.25)
    crops = torch.stack([view[i][0] for i in range(len(view))])
    _, centres, points, _ = solve(model, crops, 64)
    right = (points - centres).norm(dim=-1) < 32/n
    assert right.float().mean() >= patches and right.all(1).float().mean() >= solved

@pytest.mark.parametrize('people, least', [(studio, 70), (mannequins, 30)])
def test_shipped_poses_are_found(people, least):
    model, checkpoint = load_checkpoint(f'pose-{people.__name__}')
    valid = people('valid', True).view(size=tuple(checkpoint['size']))
    assert measure(model, valid)[0]['AP'] >= least

@pytest.mark.parametrize('words', [['pose-studio', '{0}', '{1}'],
                                   ['--checkpoint', 'pose-studio', '{0}', '{1}'],
                                   ['pose-studio', '{0}', '--threshold', '.1', '{1}']])
def test_predict_takes_shipped_weights_by_name(words, tmp_path):
    files = studio('valid').files[:2]
    words = [w.format(*files) for w in words]
    assert main(['predict', *words, '--out', str(tmp_path)]) == 0
    assert len(list(tmp_path.glob('*.png'))) == 2

def test_solve_takes_shipped_weights_by_name(tmp_path, capsys):
    assert main(['solve', '--checkpoint', 'puzzles-2', studio('valid').files[0], '--out', str(tmp_path)]) == 0
    assert 'N = 2' in capsys.readouterr().out

@pytest.mark.parametrize('words', [['predict', 'pose-studio'], ['predict', '--checkpoint', 'pose-studio'],
                                   ['solve', 'puzzles-2', 'x.jpg', '--nonsense']])
def test_words_that_lack_a_picture_or_mean_nothing(words, capsys):
    with pytest.raises(SystemExit) as e: main(words)
    assert e.value.code == 2 and capsys.readouterr().err

@pytest.mark.parametrize('data', ['studio', 'mannequins', 'coco_persons'])
def test_stored_rows_are_whole(data):
    rows = stored_demo(data)
    assert rows.notna().all(axis=None) and set(rows.start) == {'scratch', 'HSJP', 'scratch, equal work'}
    assert (rows.groupby(['labels', 'start']).seed.nunique() == 3).all() and np.isfinite(rows.AP).all()
    ap = rows.set_index(['labels', 'seed', 'start']).AP.unstack()
    assert (ap['HSJP'] > ap['scratch']).all()
