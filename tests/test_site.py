"The built site in a browser: no error, nothing fetched from elsewhere, no sideways scrolling, light and dark"
import functools
import http.server
import json
import re
import threading
from pathlib import Path

import pytest
from hands import centre, drag

from hsjp.people import studio

ROOT = Path(__file__).parents[1]
DOCS = ROOT/'_docs'
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob('*.html'))

needs_site = pytest.mark.skipif(not PAGES, reason='no built site: python tools/site.py')

@pytest.fixture(scope='session')
def url():
    "Address of a server for the built site on this machine"
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(DOCS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

@pytest.fixture
def page(request, browser, url):
    "A page in light or dark that stops requests to elsewhere; `page.wrong` lists them, and errors"
    context = browser.new_context(color_scheme=getattr(request, 'param', 'light'))
    page = context.new_page()
    page.wrong = []
    def local(route):
        if route.request.url.startswith((url, 'data:', 'blob:')): return route.continue_()
        page.wrong.append(f'asked for {route.request.url}')
        route.abort()
    page.route('**/*', local)
    page.on('console', lambda m: m.type == 'error' and page.wrong.append(m.text))
    page.on('pageerror', lambda e: page.wrong.append(str(e)))
    yield page
    context.close()

def is_dark(page):
    "Whether the background is"
    colour = page.evaluate('getComputedStyle(document.body).backgroundColor')
    return sum(map(int, re.findall(r'\d+', colour)[:3])) < 3*128

@needs_site
@pytest.mark.parametrize('page', ['light', 'dark'], indirect=True)
def test_every_page(page, url, request):
    dark = 'dark' in request.node.name
    for name in PAGES:
        page.goto(f'{url}/{name}')
        if is_dark(page) != dark: page.wrong.append('wrong scheme')
        for width in (1280, 390):
            page.set_viewport_size({'width': width, 'height': 900})
            page.wait_for_timeout(100)
            more = page.evaluate('document.documentElement.scrollWidth - innerWidth')
            if more > 0: page.wrong.append(f'{more} pixels wider than {width}')
        assert not page.wrong, f'{name}: {page.wrong}'

@needs_site
def test_the_reader_chooses_the_scheme(page, url):
    page.goto(f'{url}/index.html')
    page.locator('.quarto-color-scheme-toggle').first.click()
    assert is_dark(page)
    page.goto(f'{url}/jigsaw.html')
    assert is_dark(page) and not page.wrong

@needs_site
def test_the_search_finds_a_function(page, url):
    page.goto(f'{url}/index.html')
    page.keyboard.press('/')
    page.keyboard.type('durstenfeld')
    page.locator('a[href*="jigsaw.html#durstenfeld"]').first.wait_for(timeout=5000)
    assert not page.wrong

@needs_site
def test_functions_have_tables_and_names_are_links():
    text = (DOCS/'augment.html').read_text(encoding='utf-8')
    assert 'id="jigsawbatch"' in text and '<td><code>n=6</code></td>' in text
    assert 'href="geometry.html#random_affine"' in text

@needs_site
def test_a_solution_hides_what_it_prints(page, url):
    page.goto(f'{url}/jigsaw.html')
    printed = page.locator('details.solution .cell-output').first
    assert not printed.is_visible()
    page.locator('details.solution summary').first.click()
    assert printed.is_visible()

def test_the_lint_sees_what_is_wrong(monkeypatch):
    pytest.importorskip('smalldocs', reason='no smalldocs: it needs Python 3.11')
    monkeypatch.syspath_prepend(str(ROOT/'tools'))
    from site_lint import Page, dead_links
    page = Page('<h2 id="here"></h2><a href="#here"></a><a href="b.html#there"></a><a href="c.html"></a>'
                '<script src="https://elsewhere.org/x.js"></script><img src="x.png">'
                '<style>@import url("https://elsewhere.org/y.css")</style>')
    pages = {'a.html': page, 'b.html': Page('')}
    dead = [*dead_links('a.html', page, pages, {*pages, 'x.png'})]
    assert dead == ['no such place: b.html#there', 'dead link c.html']
    assert page.silent == ['img x.png'] and len(page.elsewhere) == 2

@needs_site
def test_a_reader_plays_on_the_front_page(page, url):
    page.add_init_script('Math.random = () => .3')  # of all shuffles one that the network solves
    page.goto(f'{url}/index.html')
    widget = page.locator('.hsjp').first
    status, puzzle = widget.locator('[role=status]'), widget.locator('canvas').first
    widget.get_by_role('slider', name='N').fill('2')
    for i in range(4):
        now = json.loads(widget.locator('code').inner_text().partition('=')[2])
        if now[i] != i: drag(page, puzzle, centre(now[i], 2), centre(i, 2))
    assert status.inner_text().startswith('Solved in')
    widget.get_by_role('button', name='shuffle').click()
    widget.get_by_role('button', name='let the network try').click()
    widget.get_by_text('The network: 4 of 4 patches, solved').wait_for()
    people = studio('valid')
    widget.locator('input[type=file]').set_input_files(people.files[5])
    widget.get_by_text('The network:').wait_for()
    assert not page.wrong

@needs_site
def test_a_reader_drags_a_keypoint(page, url):
    page.goto(f'{url}/evaluate.html')
    widget = page.locator('.hsjp').first
    status = widget.locator('[role=status]')
    before = status.inner_text()
    widget.locator('canvas').first.focus()
    for _ in range(12): page.keyboard.press('Shift+ArrowDown')
    assert before.startswith('OKS') and status.inner_text() != before and not page.wrong
