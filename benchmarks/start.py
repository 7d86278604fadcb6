"""Seconds until an answer: of the import, of every help, and of the first prediction

    python benchmarks/start.py [ROUNDS]

Each is a process of its own, and the quickest of the rounds counts. Beside it stand a bare Python, started in
the same rounds, and the limits that the project sets itself on two CPU cores.
"""
import subprocess
import sys
import tempfile
import time

from hsjp.arguments import parser
from hsjp.people import studio


def seconds(words, rounds):
    "The least of so many runs"
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)

def main(rounds=3):
    hsjp = [sys.executable, '-c', 'import sys; from hsjp.cli import main; sys.exit(main())']
    commands = next(a for a in parser()._actions if a.dest == 'command').choices
    with tempfile.TemporaryDirectory() as out:
        person = studio('valid').files[0]
        ways = {'python -c pass': ([sys.executable, '-c', 'pass'], None),
                'import hsjp': ([sys.executable, '-c', 'import hsjp'], .3),
                'hsjp --version': ([*hsjp, '--version'], .5), 'hsjp --help': ([*hsjp, '--help'], .5),
                **{f'hsjp {c} --help': ([*hsjp, c, '--help'], .5) for c in commands},
                'hsjp predict, one picture': ([*hsjp, 'predict', 'pose-studio', person, '--out', out], 6)}
        print('| what | seconds | limit |\n|---|---|---|')
        for name, (words, limit) in ways.items():
            print(f'| {name} | {seconds(words, rounds):.2f} | {limit or ""} |', flush=True)

if __name__ == '__main__': main(*map(int, sys.argv[1:]))
