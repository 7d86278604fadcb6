"AugmentWidget, HeatmapWidget, OksWidget, PriorsWidget: their state in Python, and the same in a browser"
import json
import re

import numpy as np
import pytest
import torch

from hsjp.dials import AugmentWidget, HeatmapWidget, OksWidget, PriorsWidget, _error_labels
from hsjp.evaluate import oks
from hsjp.geometry import inside, move_points, random_affine
from hsjp.heatmap import decode_heatmaps
from hsjp.jigsaw import patch_centres
from hsjp.page import module, picture_url
from hsjp.people import mannequins, studio
from hsjp.priors import keypoint_priors
from hsjp.skeleton import COCO

WIDGETS = [AugmentWidget, HeatmapWidget, OksWidget, PriorsWidget]
WRIST = COCO.names.index('left_wrist')

# ---- Python ----

@pytest.mark.parametrize('widget', WIDGETS)
def test_state_is_json_and_the_still_is_small(widget):
    w = widget()
    assert json.loads(json.dumps(w.state, allow_nan=False)) == json.loads(json.dumps(widget().state))
    assert len(picture_url(w.still()))*3/4 < 25_000 and w.alt
    assert 'http' not in w.to_html().replace('http://www.w3.org/2000/svg', '')

def test_the_error_follows_the_point_and_the_noise():
    w = HeatmapWidget(x=50.3, y=77.1, sigma=1.5)
    assert w.errors['dark'] < .01 < w.errors['quarter'] < w.errors['argmax']
    clean = w.errors
    assert HeatmapWidget(0, 0).errors['argmax'] == pytest.approx(8**.5, abs=1e-3)
    w.noise = .2
    noisy = w.errors
    w.seed = 1
    assert clean != noisy != w.errors
    values = (w.heatmap() - HeatmapWidget(x=50.3, y=77.1, sigma=1.5).heatmap())/.2
    assert abs(values.mean()) < .06 and abs(values.std() - 1) < .05

def test_the_mask_is_that_of_the_batch_step():
    affine = random_affine(20, (224, 224), generator=torch.Generator().manual_seed(3)).double()
    w = AugmentWidget(n=4, seed=5)
    home = patch_centres(torch.tensor([w.slots]), 4, 224).double().expand(20, -1, -1)
    for a, mask in zip(affine, inside(move_points(home, affine), (224, 224))):
        turn = np.degrees(np.arctan2(a[1, 0], a[0, 0])).item()
        move = a[:, 2] - (torch.eye(2) - a[:, :2])@torch.tensor([112., 112.]).double()
        with w.hold_trait_notifications():
            w.turn, w.scale = turn, a[:, 0].norm().item()
            w.shift_x, w.shift_y = (move/224).tolist()
        assert w.mask == mask.int().tolist()
    w.n = 2
    assert sorted(w.slots) == [0, 1, 2, 3] and len(w.mask) == 4

def test_a_picture_of_any_kind_becomes_a_puzzle():
    crop, *_ = studio('valid').view(size=(96, 96))[3]
    assert AugmentWidget(crop).picture == AugmentWidget(crop.permute(1, 2, 0).numpy()).picture

def test_oks_is_that_of_evaluate_and_labels_follow_the_rules():
    w = OksWidget(2)
    truth, area = np.array(w.truth), np.array(w.area)
    mine = oks([w.points], truth[:1], np.ones((1, 17)), area[:1], COCO.sigmas)[0, 0]
    assert w.oks == pytest.approx(mine, abs=1e-9) and w.oks > .9
    spread = 2*COCO.sigmas[WRIST]*area[0]**.5
    def label(x, y):
        w.points = [[x, y] if k == WRIST else p for k, p in enumerate(truth[0].tolist())]
        return w.labels[WRIST]
    own, other = truth[0, WRIST], truth[0, WRIST+1]
    at = lambda ks: own + [0, -spread*(-2*np.log(ks))**.5]
    places = own, at(.86), at(.84), at(.51), other, truth[1, WRIST], truth[1, WRIST+1], (0, 0)
    assert [label(*p) for p in places] == 'good good jitter jitter inversion swap swap miss'.split()

def test_priors_are_those_of_the_set():
    w, people = PriorsWidget(n=5, keypoint='nose'), mannequins()
    wanted = keypoint_priors(people.boxes, people.points, people.visible, 5)
    assert np.allclose(w.shares, wanted[0], atol=1e-4)
    w.keypoint = 'right_ankle'
    assert np.allclose(w.shares, wanted[-1], atol=1e-4)

def test_priors_of_other_people_and_of_keypoints_never_seen():
    few = studio('valid').subset(range(30))
    few.visible[:, 0] = 0
    w = PriorsWidget(2, 'nose', few)
    assert np.sum(w.shares) == 0 and w.places[0] == [] and len(w.places[1]) == 2
    with pytest.raises(ValueError, match='tail'): PriorsWidget(keypoint='tail')

# ---- a browser ----

MODEL = '''(state) => { const heard = {};
  window.model = { get: k => state[k], save_changes() {}, off() {}, on(e, f) { (heard[e] ??= []).push(f); },
    set(k, v) { if (JSON.stringify(state[k]) === JSON.stringify(v)) return;
      state[k] = v; (heard['change:' + k] || []).forEach(f => f()); } };
  render({ model: window.model, el: document.body.appendChild(document.createElement('div')) }); }'''

def elsewhere(urls): return [u for u in urls if not u.startswith(('data:', 'blob:', 'about:'))]

class Page:
    "A widget in a browser whose model the test can read and set"
    def __init__(self, browser, widget, width=1000, **context):
        self.page = browser.new_page(viewport=dict(width=width, height=900), **context)
        self.wrong, self.asked = [], []
        self.page.on('console', lambda m: m.type in ('error', 'warning') and self.wrong.append(m.text))
        self.page.on('pageerror', lambda e: self.wrong.append(str(e)))
        self.page.on('request', lambda r: self.asked.append(r.url))
        self.page.set_content('<!doctype html><meta name=viewport content="width=device-width"><body>')
        self.page.add_script_tag(content=module(*widget.files).replace('export default { render };', ''))
        self.page.evaluate(MODEL, widget.state)
        self.canvas = self.page.locator('canvas').first
        self.wait(100)
    def wait(self, ms=60): self.page.wait_for_timeout(ms)
    def get(self, name): return self.page.evaluate('k => model.get(k)', name)
    def set(self, **values):
        for k, v in values.items(): self.page.evaluate('([k, v]) => model.set(k, v)', [k, v])
        self.wait()
    def press(self, key, times=1):
        self.canvas.focus()
        for _ in range(times): self.page.keyboard.press(key)
        self.wait()
    def place(self, x, y, units):
        "A place of the canvas, whose width is `units`, as a place on the page"
        box = self.canvas.bounding_box()
        return box['x'] + x*box['width']/units, box['y'] + y*box['width']/units
    def drag(self, start, end, units):
        self.canvas.scroll_into_view_if_needed()
        self.page.mouse.move(*self.place(*start, units))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end, units), steps=3)
        self.page.mouse.up()
        self.wait()
    def label(self): return self.canvas.get_attribute('aria-label')
    def close(self):
        self.page.close()
        assert not self.wrong and not elsewhere(self.asked)

@pytest.fixture
def show(browser):
    pages = []
    def show(widget, **kwargs):
        pages.append(Page(browser, widget, **kwargs))
        return pages[-1]
    yield show
    for p in pages: p.close()

def test_decoding_in_javascript_is_that_of_python(show):
    p, rng = show(HeatmapWidget()), torch.Generator().manual_seed(0)
    maps = torch.rand(12, 9, 7, generator=rng)
    maps[0], maps[1, 0, 0], maps[2, 8, 3], maps[3] = 0, 2, 2, -1
    bells = HeatmapWidget(sigma=1.2).heatmap()[None]
    for these in (maps, bells):
        h, w = these.shape[1:]
        methods = 'argmax', 'quarter', 'dark'
        wanted = {m: decode_heatmaps(these[:, None], m)[0][:, 0] for m in methods}
        for i, one in enumerate(these):
            given = [one.flatten().tolist(), w, h, 4]
            found = p.page.evaluate('given => heatmapDecode(...given)', given)
            for m in wanted: assert np.allclose(found[m], wanted[m][i], atol=1e-2), (m, i)

@pytest.mark.parametrize('sigma,noise,seed', [(2, 0, 0), (.6, 0, 0), (3.1, .05, 2), (1.2, .25, 7)])
def test_heatmap_errors_are_those_of_python(show, sigma, noise, seed):
    p = show(HeatmapWidget())
    p.set(sigma=sigma, noise=noise, seed=seed)
    for x, y in ((60, 70), (111.3, 5.2), (223, 222.5)):
        p.drag((100, 100), (x, y), 224)
        here = HeatmapWidget(p.get('x'), p.get('y'), sigma, noise, seed=seed)
        assert abs(here.x - x) < .1 and abs(here.y - y) < .1
        assert p.get('errors') == pytest.approx(here.errors, abs=1e-2)

def test_heatmap_keys_touch_and_the_bound(show):
    p = show(HeatmapWidget(), has_touch=True)
    p.press('ArrowRight', 3); p.press('Shift+ArrowUp')
    assert (p.get('x'), p.get('y')) == (104.9, 87.2) and 'x 104.90, y 87.20' in p.label()
    touch = p.page.context.new_cdp_session(p.page)
    path = (50, 50), (80, 60), (120, 40), None
    for kind, at in zip(('touchStart', 'touchMove', 'touchMove', 'touchEnd'), path):
        point = [dict(zip('xy', p.place(*at, 224)))] if at else []
        touch.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=point))
    p.wait()
    assert p.get('x') == pytest.approx(120, abs=1) and p.get('y') == pytest.approx(40, abs=1)
    status = p.page.locator('[role=status]')
    assert 'broken' in status.inner_text()
    p.set(n=4)
    assert 'bound σ < 2.33 is kept' in status.inner_text()

def test_augment_handles_keys_and_mask(show):
    p = show(AugmentWidget(n=3))
    p.press('Shift+ArrowRight', 15); p.press('Shift+ArrowUp', 15); p.press('ArrowLeft', 8)
    state = {k: p.get(k) for k in ('turn', 'scale', 'shift_x', 'shift_y')}
    assert state == pytest.approx(dict(turn=45, scale=1.3, shift_x=-.08, shift_y=0))
    mask = AugmentWidget(**state).mask
    assert p.get('mask') == mask and f'{mask.count(0)} of 9 centres are outside' in p.label()
    p.set(turn=0, scale=1, shift_x=0)
    assert '0 of 9 centres are outside' in p.label()
    p.drag((156, 64), (248, 156), 312)
    assert p.get('turn') == pytest.approx(90, abs=1) and p.get('scale') == pytest.approx(1, abs=.02)
    p.drag((100, 200), (122.4, 200), 312)
    assert p.get('shift_x') == pytest.approx(.1, abs=.01)

def test_augment_draws_and_the_leak(show):
    p = show(AugmentWidget())
    p.page.get_by_role('button', name='draw 20').click()
    p.page.get_by_role('button', name='draw at random').click()
    p.wait(300)
    draws = np.array(p.get('draws'))
    assert draws.shape == (21, 4) and (abs(draws - [0, 1, 0, 0]) <= [45, .35, .1, .1]).all()
    assert draws.std(0) == pytest.approx(np.array([90, .7, .2, .2])/12**.5, rel=.35)
    last = dict(zip(('turn', 'scale', 'shift_x', 'shift_y'), draws[-1]))
    assert p.get('turn') == last['turn'] and p.get('mask') == AugmentWidget(**last).mask
    share = lambda: int(re.search(r'on (\d+) %', p.page.locator('figcaption').nth(1).inner_text())[1])
    full = share()
    p.page.get_by_role('button', name='start again').click()
    p.wait(300)
    assert full > 3*share() and p.get('draws') == [] and p.get('turn') == 0
    p.page.get_by_label('blur', exact=True).select_option('before')
    p.wait()
    text = p.page.locator('figure').nth(2).inner_text()
    step = lambda when: float(re.search(rf'{when}: ([\d.]+)', text)[1])
    assert p.get('blur') == 'before' and 'leak' in text
    assert step('before the cut') < step('not blurred') < step('after it')

def test_oks_drags_and_labels(show):
    w = OksWidget()
    p, truth = show(w), np.array(w.truth)
    away = lambda k: np.array(p.get('points'))[k]
    for goal, label in ((truth[0, WRIST+1], 'inversion'), (truth[1, WRIST], 'swap'), ((20, 20), 'miss'),
                        (truth[0, WRIST], 'good')):
        p.drag(away(WRIST), goal, 288)
        assert away(WRIST) == pytest.approx(np.array(goal), abs=.6)
        w.points = p.get('points')
        assert p.get('oks') == pytest.approx(w.oks, abs=1e-3) and p.get('labels') == w.labels
        assert p.get('labels')[WRIST] == label and label in p.label() and f'OKS {w.oks:.3f}' in p.label()
    p.set(keypoint='left_ankle')
    k, before = COCO.names.index('left_ankle'), away(COCO.names.index('left_ankle'))
    p.press('Shift+ArrowDown', 2); p.press('ArrowLeft', 3)
    assert away(k) == pytest.approx(before + [-3, 10], abs=.02)

def test_oks_labels_in_javascript_are_those_of_python(show):
    p, rng = show(OksWidget()), np.random.default_rng(0)
    truth, area = rng.uniform(0, 60, (3, 17, 2)), np.array([3000., 2000, 4000])
    seen = set()
    for spread in (1, 4, 10, 30):
        points = truth[0] + rng.normal(0, spread, (17, 2))
        arguments = [points.tolist(), truth.tolist(), area.tolist(), COCO.sigmas, COCO.flip.tolist()]
        found = p.page.evaluate('a => oksLabels(...a)', arguments)
        assert found == _error_labels(points, truth, area)
        seen |= set(found)
    assert seen == {'good', 'jitter', 'inversion', 'swap', 'miss'}

def test_priors_choose_by_mouse_key_and_list(show):
    w = PriorsWidget()
    p = show(w)
    def agrees():
        w.n, w.keypoint = p.get('n'), p.get('keypoint')
        largest = 100*np.max(w.shares)
        assert p.get('shares') == w.shares and f'with {largest:.1f} %' in p.label()
    p.press('ArrowRight'); p.press('ArrowUp', 3)
    assert (p.get('n'), p.get('keypoint')) == (6, 'right_wrist')
    agrees()
    x, y = w.places[COCO.names.index('left_ankle')]
    p.page.mouse.click(*p.place(8 + 300*x, 8 + 400*y, 316))
    p.wait()
    assert p.get('keypoint') == 'left_ankle'
    agrees()
    p.page.get_by_label('keypoint', exact=True).select_option('nose')
    p.set(n=2)
    assert 'nose, N = 2' in p.label()

@pytest.mark.parametrize('widget', WIDGETS)
def test_the_page_without_a_kernel_fits_and_is_quiet(browser, widget):
    html = widget().to_html()
    for width, colours in ((360, 'background:#fff;color:#222'), (1400, 'background:#17181a;color:#e8eaed')):
        page = browser.new_page(viewport=dict(width=width, height=800))
        wrong, asked = [], []
        page.on('console', lambda m, wrong=wrong: wrong.append(m.text))
        page.on('pageerror', lambda e, wrong=wrong: wrong.append(str(e)))
        page.on('request', lambda r, asked=asked: asked.append(r.url))
        page.set_content(f'<!doctype html><body style="margin:8px;{colours}">{html}')
        page.locator('.hsjp canvas').first.wait_for()
        page.wait_for_timeout(200)
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        canvases = page.locator('.hsjp canvas').all()
        assert all(c.get_attribute('aria-label') for c in canvases)
        pixels = 'c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer'
        assert canvases[0].evaluate(f'c => new Set(new Uint32Array({pixels})).size') > 20
        page.close()
        assert not wrong and not elsewhere(asked)
