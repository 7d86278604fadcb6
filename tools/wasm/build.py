"""Compile gemm.ts and put it into hsjp/data/js/net.js as base64; wants node.

    python tools/wasm/build.py
"""
import base64
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1]/'hsjp'/'data'/'js'/'net.js'
COMPILER = ['npx', '--yes', '--package', 'assemblyscript@0.28.20', 'asc']

with tempfile.TemporaryDirectory() as folder:
    wasm = Path(folder)/'gemm.wasm'
    how = ['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--enable', 'simd', '-o', str(wasm)]
    subprocess.run([*COMPILER, str(HERE/'gemm.ts'), *how], check=True)
    code = wasm.read_bytes()
text = PAGE.read_text(encoding='utf-8')
line = f"const NET_WASM = '{base64.b64encode(code).decode()}';"
PAGE.write_text(re.sub(r"const NET_WASM = '.*';", line, text), encoding='utf-8')
print(f'{len(code)} bytes')
