"The widgets on a page without a kernel: mouse, keys, networks, photos; and their state in Python"
import io
import json
import re

import numpy as np
import pytest
from hands import centre, drag
from PIL import Image

from hsjp.page import read_url
from hsjp.people import studio
from hsjp.pretrain import puzzle_view
from hsjp.widgets import JigsawWidget, PoseWidget


def slots(page): return json.loads(page.locator('code').inner_text().partition('=')[2])

@pytest.fixture
def two(open_page):
    page = open_page(JigsawWidget(n=2, seed=1).to_html())
    page.get_by_role('button', name='shuffle').wait_for()
    return page

def solve_by_hand(page, n):
    for i in range(n*n):
        now = slots(page)
        if now[i] != i: drag(page, page.locator('canvas').first, centre(now[i], n), centre(i, n))

def test_a_puzzle_is_solved_by_dragging(two):
    assert sorted(slots(two)) == [0, 1, 2, 3] != slots(two)
    solve_by_hand(two, 2)
    assert slots(two) == [0, 1, 2, 3]
    assert re.match(r'Solved in [123] moves', two.get_by_role('status').inner_text())

def test_a_puzzle_is_solved_by_keys(two):
    canvas = two.locator('canvas').first
    canvas.focus()
    two.keyboard.press('ArrowRight')                     # the cursor appears at the first patch
    for i in range(4):
        now = slots(two)[i]
        for place in (now, i) if now != i else ():
            for key in ('ArrowLeft', 'ArrowUp'): two.keyboard.press(key)
            if place % 2: two.keyboard.press('ArrowRight')
            if place//2: two.keyboard.press('ArrowDown')
            two.keyboard.press('Enter')
    assert 'solved' in canvas.get_attribute('aria-label')

@pytest.mark.parametrize('n', [2, 3])
def test_the_network_solves_in_the_page(open_page, n):
    page = open_page(JigsawWidget(n=n).to_html())
    page.get_by_role('button', name='let the network try').click()
    told = page.get_by_text('The network:')
    told.wait_for()
    assert int(re.search(r'(\d+) of', told.inner_text())[1]) >= (4 if n == 2 else 3)
    solve_by_hand(page, n)
    page.get_by_text(f'You: {n*n} of {n*n}').wait_for()
    assert 'Solved' in page.get_by_role('status').inner_text()

def test_other_n_is_for_people_alone(two):
    two.get_by_role('slider', name='N').fill('5')
    assert len(slots(two)) == 25
    assert two.get_by_role('button', name='let the network try').is_disabled()

def photo(seed=0):
    "A file as a reader drops it"
    buffer = io.BytesIO()
    people = studio('valid')
    people.open(seed).resize((640, 480)).save(buffer, 'jpeg')
    return dict(name='me.jpg', mimeType='image/jpeg', buffer=buffer.getvalue())

def test_own_photo_stays_and_is_solved(two):
    two.locator('input[type=file]').set_input_files(photo())
    two.get_by_role('button', name='let the network try').click()
    two.get_by_text('The network:').wait_for()

def test_a_file_that_is_no_picture_is_told(two):
    two.locator('input[type=file]').set_input_files(dict(name='a.txt', mimeType='text/plain', buffer=b'no'))
    two.get_by_text('no picture').wait_for()

def test_without_its_network_the_page_says_so(browser):
    page = browser.new_context(offline=True).new_page()
    page.set_content('<!doctype html>' + JigsawWidget(n=2).to_html('nowhere/'))
    page.get_by_role('button', name='let the network try').click()
    page.get_by_text('the network is not on this page').wait_for()
    page.context.close()

def test_a_pose_is_found_again_in_a_photo(open_page):
    page = open_page(PoseWidget().to_html())
    page.get_by_text('keypoints with a peak').wait_for()
    assert '17 of 17' in page.get_by_role('status').inner_text()
    page.locator('input[type=file]').set_input_files(photo(5))
    page.wait_for_function("document.querySelector('canvas').getAttribute('aria-label').includes('48, 18')")
    canvas = page.locator('canvas')
    before = canvas.get_attribute('aria-label')
    canvas.focus()
    page.keyboard.press('ArrowRight')
    moved = 'was => document.querySelector("canvas").getAttribute("aria-label") !== was'
    page.wait_for_function(moved, arg=before)

@pytest.mark.parametrize('widget', [JigsawWidget, PoseWidget])
@pytest.mark.parametrize('width', [360, 1400])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_fits(open_page, widget, width, scheme):
    page = open_page(widget().to_html(), width, scheme)
    page.locator('canvas').first.wait_for()
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')

def test_python_sees_and_sets_the_puzzle():
    w, seen = JigsawWidget(n=2), []
    w.observe(lambda change: seen.append(change.new), 'solved')
    w.slots = [0, 1, 2, 3]
    w.n = 3
    assert seen == [True, False] and sorted(w.slots) == list(range(9))
    with pytest.raises(Exception, match='n'): w.n = 9

def test_the_still_picture_is_the_puzzle():
    crop = puzzle_view(studio('valid'), 216)[77][0]
    w = JigsawWidget([crop], n=2)
    still = np.asarray(w.still()).astype(float)
    whole = np.asarray(read_url(w.pictures[0]).resize((120, 120))).astype(float)
    x, y = 60*(w.slots[0] % 2), 60*(w.slots[0]//2)
    assert np.abs(still[y:y+60, x:x+60] - whole[:60, :60]).max() < 1

def test_a_picture_without_a_person_is_a_box_of_its_own():
    w = PoseWidget(Image.new('RGB', (50, 40)))
    assert w.box == [0, 0, 50, 40] and w.state['which'] == 'pose-studio'
