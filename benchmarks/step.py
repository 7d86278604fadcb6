"""What the Learner adds to its network: the bare step's time over the Learner's, for four trainings

    python benchmarks/step.py [ROUNDS] [NAME ...]

One thread, one run: bare steps and Learner take turns, on cached crops, and the median of the rounds' ratios
counts. The bare step is forward, loss, backward and fused Adam in the same precision on one batch that lies
in memory, with targets drawn before. Times are this process's own CPU time, so that a busy machine counts
less.
"""
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from hsjp.bench import DEFAULTS, bare_step, learner_of, timed_fit, vga_people

RESNET = DEFAULTS['simple_baseline'][2]
COMPACT = DEFAULTS['compact'][2]
CASES = {  # kind, network, size of poses, batch, steps a round, target
    'compact, puzzles 64 x 64, N = 3': ('puzzles', COMPACT, (96, 64), 32, 20, .80),
    'compact, poses 96 x 64': ('poses', COMPACT, (96, 64), 16, 20, .80),
    'ResNet-50, poses 256 x 192': ('poses', RESNET, (256, 192), 32, 2, .92),
    'ResNet-50, puzzles 224, N = 6': ('puzzles', RESNET, (256, 192), 32, 2, .85)}

def bare(step, steps):
    "Seconds of CPU a step"
    start = time.process_time()
    for _ in range(steps): step()
    return (time.process_time() - start)/steps

def one(kind, config, size, batch, steps, rounds, folder):
    "Seconds of the bare step and of the Learner's, round by round"
    people = vga_people(folder)
    learn = learner_of(kind, people, Path(folder)/'crops', config, size, batch, 'cpu')
    step = bare_step(learn)
    bare(step, 2)
    return [(bare(step, steps), timed_fit(learn, steps=steps)[1]) for _ in range(rounds)]

def main(rounds=5, *names):
    torch.set_num_threads(1)
    print('| training | bare step, ms | Learner, ms | ratio | target |\n|---|---|---|---|---|')
    for name, (*case, steps, target) in CASES.items():
        if names and not any(n in name for n in names): continue
        with tempfile.TemporaryDirectory() as folder: times = one(*case, steps, rounds, folder)
        network, learner = (1000*statistics.median(column) for column in zip(*times))
        ratio = statistics.median(a/b for a, b in times)
        print(f'| {name} | {network:.0f} | {learner:.0f} | {ratio:.2f} | {target:.2f} |', flush=True)

if __name__ == '__main__': main(int((sys.argv[1:] or [5])[0]), *sys.argv[2:])
