"""What an item costs must not depend on the number of persons: ms an item of few and of many, and their ratio

    python benchmarks/items.py
"""
import time

import numpy as np
import torch

from hsjp.people import mannequins

TARGET = 1.2

def many_of(persons, count):
    "The same persons again and again, until there are so many"
    return persons.subset(np.arange(count) % len(persons))

def cost(persons, items):
    "Milliseconds of this process's own time an item"
    start = time.process_time()
    for i in range(items): persons[i]
    return (time.process_time() - start)/items*1000

def pair(few, many, items=30, rounds=15):
    "The least cost of each, in rounds that take turns, so that other work on the machine meets both"
    times = [(cost(few, items), cost(many, items)) for _ in range(rounds)]
    return map(min, zip(*times))

def main():
    torch.set_num_threads(1)
    few = mannequins('train', labelled=True).view(size=(256, 192))
    many = many_of(few, 150_040)
    cases = {'an item': (few, many), 'after view': (few.view(margin=1.25), many.view(margin=1.25)),
             'after subset': (few.subset(range(1000)), many.subset(range(1000)))}
    for name, (a, b) in cases.items():
        ours, theirs = pair(a, b)
        print(f'{name}: {len(few):,} persons {ours:.2f} ms, {len(many):,} persons {theirs:.2f} ms, '
              f'ratio {theirs/ours:.2f} (target: at most {TARGET})')

if __name__ == '__main__': main()
