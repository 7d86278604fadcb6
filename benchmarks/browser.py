"""How long the shipped networks take in a page: headless Chromium, WebAssembly and plain JavaScript.

    python benchmarks/browser.py

A puzzle is cut, solved and assigned at 64 x 64; a pose is found at 128 x 96, from a crop that lies ready. The
median of 15 runs after 5 to warm up goes to --out, by default hsjp/data/results/browser.csv, of which lesson
60_browser makes a table. Wants playwright and a Chromium.
"""
import argparse
import shutil
from pathlib import Path

import pandas as pd
from playwright.sync_api import sync_playwright

import hsjp
from hsjp.browser import network_spec

DATA = Path(hsjp.__file__).parent/'data'
FLAGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking ' \
        '--disable-component-update --disable-sync'
INPUTS = {'puzzles-2': (64, 64), 'puzzles-3': (64, 64),
          'pose-studio': (128, 96), 'pose-mannequins': (128, 96)}
TIME = '''async ({spec, n, h, w, wasm}) => {
  const net = await loadNet(spec, {wasm}), side = n ? 72 : 0, times = [];
  const picture = Float32Array.from({length: 3*(n ? side*side : h*w)}, (_, i) => Math.sin(i)/2 + .5);
  const slots = Array.from({length: n*n}, (_, i) => (i + 1) % (n*n));
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    const heat = net.run(n ? cutPuzzle(picture, slots, n, h) : picture, h, w);
    const points = decodePeaks(heat, spec.n_out, h/4, w/4);
    if (n) assignSlots(points, n, h);
    times.push(performance.now() - start);
  }
  if (net.wasm !== wasm) throw new Error('WebAssembly is refused');
  return times.slice(5).sort((a, b) => a - b)[7];
}'''

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--out', type=Path, default=DATA/'results'/'browser.csv')
out, rows = parser.parse_args().out, []
with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=shutil.which('chromium'), args=FLAGS.split())
    page = browser.new_page()
    page.add_script_tag(content=(DATA/'js'/'net.js').read_text(encoding='utf-8'))
    for name, (h, w) in INPUTS.items():
        for engine in ('WebAssembly', 'JavaScript'):
            n = int(name[-1]) if name.startswith('puzzles') else 0
            task = dict(spec=network_spec(name), n=n, h=h, w=w, wasm=engine == 'WebAssembly')
            rows.append(dict(network=name, input=f'{h}x{w}', engine=engine, ms=page.evaluate(TIME, task)))
    browser.close()
table = pd.DataFrame(rows).round(1)
table.to_csv(out, index=False)
print(table.to_string(index=False))
