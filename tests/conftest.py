"Small tensors on few cores: one thread is fastest; one headless Chromium for all tests that want one"
import shutil

import matplotlib
import pytest
import torch

from hsjp.models import hrnet

matplotlib.use('Agg')
torch.set_num_threads(1)
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ('--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
         '--disable-component-update --disable-sync').split()

@pytest.fixture
def tiny():
    "The smallest HRNet"
    return hrnet(16, width=4)

@pytest.fixture(scope='session')
def browser():
    "Headless Chromium"
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    if CHROMIUM is None: pytest.skip('no Chromium is installed')
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()

@pytest.fixture
def open_page(browser):
    "A function that shows html without any network; at the end nothing was asked for, nothing went wrong"
    contexts, wrong = [], []
    def opened(html, width=1280, scheme='light'):
        view = dict(viewport={'width': width, 'height': 900}, color_scheme=scheme)
        context = browser.new_context(offline=True, **view)
        contexts.append(context)
        page = context.new_page()
        elsewhere = lambda r: r.url.startswith(('data:', 'blob:')) or wrong.append(f'asked for {r.url}')
        page.on('request', elsewhere)
        page.on('console', lambda m: m.type == 'error' and wrong.append(m.text))
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.set_content('<!doctype html><meta name="viewport" content="width=device-width">' + html)
        return page
    yield opened
    for context in contexts: context.close()
    assert not wrong
