"A lesson with a widget in JupyterLab: run all cells, drag a slider and a patch, read the state in Python"
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from hands import centre, drag

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
APP = 'window.jupyterapp.shell.currentWidget'
IDLE = '''() => { const s = window.jupyterapp?.shell?.currentWidget?.sessionContext;
    return !!s?.isReady && s.session?.kernel?.status === 'idle'; }'''
ASK = f'''async code => {{
    const said = [], kernel = {APP}.sessionContext.session.kernel;
    const future = kernel.requestExecute({{code, store_history: false}});
    future.onIOPub = m => {{
        if (m.header.msg_type === 'stream') said.push(m.content.text);
        if (m.header.msg_type === 'error') said.push(m.content.traceback.join(' '));
    }};
    await future.done;
    return said.join('');
}}'''
ERRORS = f'''() => {APP}.content.widgets.filter(c => c.outputArea).flatMap(c => c.outputArea.model.toJSON())
    .filter(o => o.output_type === 'error').map(o => o.evalue)'''

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

@contextlib.contextmanager
def jupyter(folder, home):
    "A JupyterLab of its own on a folder: no token, no settings of the user, no news; yields its address"
    port, settings = free_port(), home/'settings'/'@jupyterlab'
    for name, values in (('notebook-extension/tracker', {'windowingMode': 'none'}),
                         ('apputils-extension/notification',
                          {'fetchNews': 'false', 'checkForUpdates': False})):
        file = settings/f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    own = {f'JUPYTER_{k}_DIR': str(home/k.lower()) for k in ('CONFIG', 'RUNTIME', 'DATA')}
    own |= dict(JUPYTERLAB_SETTINGS_DIR=str(home/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(home/'spaces'),
                IPYTHONDIR=str(home/'ipython'), PYTHONPATH=str(ROOT))
    options = f'''--no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0
        --IdentityProvider.token= --ServerApp.password= --ServerApp.root_dir={folder}
        --LabApp.expose_app_in_browser=True
        --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate'''.split()
    with open(home/'log', 'w') as log:
        lab = subprocess.Popen([sys.executable, '-m', 'jupyterlab', *options], env={**os.environ, **own},
                               stdout=log, stderr=log, start_new_session=True)
    url = f'http://127.0.0.1:{port}'
    try:
        wait_until(lambda: answers(url) or lab.poll() is not None, 120)
        assert lab.poll() is None, (home/'log').read_text()
        yield url
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(30)

def answers(url):
    with contextlib.suppress(OSError): return urllib.request.urlopen(f'{url}/api/status', timeout=2)

def wait_until(true, seconds):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f'waited {seconds} seconds'
        time.sleep(.2)

@pytest.fixture
def lab(browser, tmp_path):
    "The lesson on puzzles, run in JupyterLab: (page, ask)"
    pytest.importorskip('jupyterlab', reason='jupyterlab is not installed')
    folder, home = tmp_path/'lessons', tmp_path/'home'
    folder.mkdir()
    home.mkdir()
    shutil.copy(ROOT/'nbs'/'00_jigsaw.ipynb', folder/'play.ipynb')
    with jupyter(folder, home) as url:
        page = browser.new_page(viewport={'width': 1280, 'height': 900})
        wrong = []
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.goto(f'{url}/lab/tree/play.ipynb?reset')
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(IDLE, timeout=300_000)
        assert not page.evaluate(ERRORS)
        yield page, lambda code: page.evaluate(ASK, code).strip()
        page.close()
        assert not wrong

def test_hand_and_kernel_see_the_same_puzzle(lab):
    page, ask = lab
    tells = lambda code, want: wait_until(lambda: ask(f'print({code})') == want, 30)
    widget = page.locator('.hsjp').first
    widget.locator('canvas').first.wait_for(timeout=60_000)
    move = widget.get_by_role('slider', name='N')
    move.focus()
    page.keyboard.press('ArrowRight')
    tells('toy.n, len(toy.slots)', '3 9')
    page.keyboard.press('ArrowLeft')
    tells('toy.n, len(toy.slots)', '2 4')
    canvas, slots = widget.locator('canvas').first, json.loads(ask('print(toy.slots)'))
    for i in range(4):
        if slots[i] == i: continue
        drag(page, canvas, centre(slots[i], 2), centre(i, 2))
        slots = [slots[i] if s == i else i if s == slots[i] else s for s in slots]
        tells('toy.slots', str(slots))
    tells('toy.solved', 'True')
    page.evaluate('globalThis.drawn = Math.random; Math.random = () => .3')    # one shuffle, not any
    widget.get_by_role('button', name='shuffle').click()
    page.evaluate('Math.random = globalThis.drawn')
    widget.get_by_role('button', name='let the network try').click()
    widget.get_by_text('The network:').wait_for(timeout=60_000)
    tells('toy.found >= 2 and len(toy.points)', '4')
    ask('toy.slots = [0, 1, 2, 3]')
    widget.get_by_text('Solved in').wait_for(timeout=30_000)
