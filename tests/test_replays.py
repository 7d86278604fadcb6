"Widgets of peaks, plateau, starts and labels: what they keep, and what a reader does to them in a browser"
import json

import numpy as np
import pytest
import torch
from hands import drag

from hsjp.jigsaw import assign_slots
from hsjp.page import module
from hsjp.people import coco_persons, studio
from hsjp.replays import PeaksWidget, PlateauWidget, StartsWidget, found_pose, solved_puzzle
from hsjp.skeleton import COCO, Skeleton
from hsjp.widgets import LabelWidget

MAKERS = dict(puzzle=solved_puzzle, pose=found_pose, plateau=PlateauWidget, starts=StartsWidget,
              label=lambda: LabelWidget(studio('valid').files[:3]))

@pytest.fixture(scope='module')
def widgets(): return {name: make() for name, make in MAKERS.items()}

@pytest.fixture
def open_page(browser, tmp_path):
    "Open a widget's html; what the console or the network says is an error"
    complaints, context = [], browser.new_context(viewport=dict(width=900, height=1100))
    def go(widget, style=''):
        file, page = tmp_path/'page.html', context.new_page()
        html = f'<!doctype html><meta charset="utf-8"><style>{style}</style><body>{widget.to_html()}'
        file.write_text(html, encoding='utf-8')
        page.on('console', lambda m: complaints.append(m.text))
        page.on('pageerror', lambda e: complaints.append(str(e)))
        page.on('request', lambda r: complaints.extend([r.url]*r.url.startswith('http')))
        page.goto(file.as_uri())
        page.wait_for_selector('.hsjp canvas')
        page.wait_for_timeout(200)
        return page
    yield go
    context.close()
    assert not complaints

def said(page): return page.locator('.hsjp [role=status]').inner_text()

@pytest.mark.parametrize('name', MAKERS)
def test_pages_and_stills_are_small(widgets, name):
    page = widgets[name].to_html()
    assert len(page) < 250_000 and '://' not in page
    assert len(widgets[name]._still()) < 25_000*4/3 and widgets[name].alt in page.replace('&#x27;', "'")

@pytest.mark.parametrize('name', MAKERS)
@pytest.mark.parametrize('width', [360, 1400])
def test_no_page_is_wider_than_its_window(widgets, open_page, name, width):
    page = open_page(widgets[name])
    page.set_viewport_size(dict(width=width, height=800))
    page.wait_for_timeout(100)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    labels = page.locator('canvas[tabindex]').evaluate_all('all => all.map(c => c.ariaLabel)')
    assert all(len(label) > 20 for label in labels)

@pytest.mark.parametrize('name,keys,words', [
    ('puzzle', ['ArrowDown', 'ArrowRight'], 'patch 5 of 9'), ('pose', ['ArrowRight'], 'left_eye'),
    ('plateau', ['End'], 'epoch'), ('starts', ['ArrowUp', 'ArrowRight'], 'labels: OKS of this person'),
    ('label', ['ArrowRight', 'Enter'], 'left_eye: click')])
def test_the_keyboard_will_do(widgets, open_page, name, keys, words):
    page = open_page(widgets[name])
    page.locator('canvas[tabindex]').first.focus()
    for key in keys: page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert words in page.locator('canvas[tabindex]').first.get_attribute('aria-label')

def test_a_peak_beyond_eps_is_missed(widgets, open_page):
    w = widgets['puzzle']
    page, side = open_page(w), 4*w.given['shape'][1]
    assert '9 of 9 found: solved' in said(page)
    at = np.array(w.points[4])/side
    drag(page, page.locator('canvas').first, at, (at + .4) % 1)
    assert 'patch 5 of 9' in said(page) and 'missed' in said(page) and '8 of 9 found' in said(page)
    page.get_by_role('button', name='Peaks as decoded').click()
    assert 'solved' in said(page)

def test_python_judges_peaks_too(widgets):
    w = widgets['puzzle']
    assert all(w.found) and w.slots == [int(y//21.4)*3 + int(x//21.4) for x, y in w.given['truth']]
    w.points = [w.points[1], w.points[0], *w.points[2:]]
    assert w.found == [False, False] + [True]*7 and sorted(w.slots) == list(range(9))
    w.points = w.given['decoded']

def test_a_person_without_truth():
    w = PeaksWidget(np.eye(17, 48).reshape(17, 8, 6), np.zeros((32, 24, 3)))
    assert w.found == [True]*17 and w.slots == w.given['truth'] == [] and w.given['names'] == COCO.names

def test_the_page_assigns_as_scipy_does(browser):
    points = np.random.default_rng(0).random((40, 25, 2))*100
    page = browser.new_page()
    source = module('assigning', '\nfunction render() {}').replace('export default', 'globalThis.m =')
    ask = f'points => {{ {source}; return points.map(p => peakSlots(p, 5, 100)) }}'
    slots = page.evaluate(ask, points.tolist())
    page.close()
    assert slots == assign_slots(torch.tensor(points), 5, 100).tolist()

def test_scrubbing_the_run(widgets, open_page):
    page = open_page(widgets['plateau'])
    assert said(page).startswith('After 0 puzzles')
    drag(page, page.locator('canvas').first, (.1, .5), (.98, .5))
    share = int(said(page).split(': ')[1].split(' %')[0])
    assert said(page).startswith('After 3') and share > 80

def test_starts_change_with_the_labels(widgets, open_page):
    page = open_page(widgets['starts'])
    for i, labels in enumerate(widgets['starts'].given['labels']):
        page.get_by_label('labelled people').fill(str(i))
        assert said(page).startswith(f'With {labels} labelled people')
    page.get_by_role('button', name='Show the truth').click()

def test_two_keypoints_by_clicking(open_page):
    w = LabelWidget(studio('valid').files[:2], ['head', 'foot', 'hand'])
    page = open_page(w)
    canvas = page.locator('canvas')
    box = canvas.bounding_box()
    place = lambda x, y: dict(x=x*box['width'], y=y*box['height'])
    canvas.click(position=place(.5, .25))
    assert 'foot: click' in said(page) and '1 placed, 2 to go' in said(page)
    canvas.click(position=place(.5, .75), button='right')
    assert 'hand: click' in said(page) and '2 placed, 1 to go' in said(page)
    page.get_by_role('combobox', name='keypoint').select_option(label='foot')
    assert 'at 80.0, 120.0, hidden' in said(page)
    drag(page, page.locator('canvas').first, (.5, .75), (.6, .8))
    assert 'at 96.0, 128.0, hidden' in said(page)
    page.get_by_role('button', name='Undo').click()
    assert 'at 80.0, 120.0, hidden' in said(page)
    page.get_by_role('button', name='Hidden').click()
    assert said(page).startswith('Picture 1 of 2. foot: at 80.0, 120.0. ')
    page.get_by_role('combobox', name='keypoint').select_option(label='hand')
    page.get_by_role('button', name='Not there').click()
    assert '2 placed, 0 to go' in said(page)
    page.get_by_role('button', name='Draw box').click()
    drag(page, page.locator('canvas').first, (.2, .1), (.8, .9))
    page.get_by_role('button', name='Next picture').click()
    assert said(page).startswith('Picture 2 of 2. head: click') and '0 placed, 3 to go' in said(page)

def test_labels_are_read_back(tmp_path):
    people, rng = studio('valid'), np.random.default_rng(0)
    w, points = LabelWidget(people.files[:3]), people.points[:3].round(1)
    v = rng.choice([0, 1, 2], (3, 17))
    v[2] = -1
    w.labels = np.concatenate([points, v[..., None]], -1).tolist()
    w.boxes = [None, [10., 20., 30., 40.], None]
    w.save(tmp_path/'mine.json')
    read = coco_persons(tmp_path/'mine.json', studio('valid').files[0].rpartition('/')[0])
    assert len(read) == 2 and read.skeleton == COCO and (read.visible == v[:2]).all()
    assert np.abs(read.points - points[:2])[v[:2] > 0].max() <= .5 + 1e-5
    assert read.boxes[1].tolist() == [10, 20, 30, 40]
    seen = points[0][v[0] > 0]
    x, y, width, height = read.boxes[0]
    assert x < seen[:, 0].min() and y + height > seen[:, 1].max() and width*height > np.ptp(seen, 0).prod()
    stored = json.loads((tmp_path/'mine.json').read_text())
    assert len(stored['images']) == 3 and stored['annotations'][0]['num_keypoints'] == (v[0] > 0).sum()
    assert all(isinstance(n, int) for a in stored['annotations'] for n in a['keypoints'])

def test_own_names_and_limbs():
    files = studio('valid').files[:1]
    assert LabelWidget(files, ['a', 'b']).annotations['categories'][0]['keypoints'] == ['a', 'b']
    skeleton = Skeleton(['a', 'b'], [(0, 1)], sigmas=[.1, .1])
    assert LabelWidget(files, skeleton).annotations['categories'][0]['skeleton'] == [[1, 2]]

def test_stored_runs_show_what_the_lesson_says(widgets):
    patches = widgets['plateau'].given['patches']
    assert abs(patches[0] - .25) < .1 and patches[-1] > .8
    scratch, hsjp = np.array(widgets['starts'].given['ap']).T
    assert (hsjp > scratch).all() and (np.diff(scratch) > 0).all()
