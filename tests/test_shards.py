"Shards: whole, shuffled, dealt out, and read over connections that break"
import io
import json
import os
import random
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import numpy as np
import pytest
import torch
from made import coco, load
from torch.utils.data import DataLoader

from hsjp import shards
from hsjp.augment import JigsawBatch, PoseBatch
from hsjp.crops import crop_cache
from hsjp.learner import StepLoader
from hsjp.models import compact
from hsjp.people import studio
from hsjp.pretrain import Stage, pretrain, puzzle_view
from hsjp.shards import CropBatches, ShardStream, ahead, shuffled, write_shards


@pytest.fixture(autouse=True)
def impatient(monkeypatch): monkeypatch.setattr(shards.time, 'sleep', lambda s: None)

@pytest.fixture
def persons(tmp_path):
    persons = load(tmp_path/'data', coco(20, 3)).view(size=(32, 32), margin=1.25)
    return crop_cache(persons, tmp_path/'crops')

@pytest.fixture
def plan(persons, tmp_path): return write_shards(persons, tmp_path/'shards', each=7)

def numbers(items): return [item[-1] for item in items]

def test_each_crop_stands_in_one_shard_as_it_was_cut(persons, plan):
    stream = ShardStream(plan)
    assert len(stream) == 60 and len(stream.shards) == 9 and stream.crop_size == persons.crop_size
    assert stream.size == (32, 32) and stream.margin == 1.25 and stream.skeleton == persons.skeleton
    seen = set()
    for crop, points, visible, i in stream:
        want = persons[i]
        assert torch.equal(crop, want[0]) and torch.allclose(points, want[1], atol=2e-3)
        assert torch.equal(visible, want[2]) and points.dtype == want[1].dtype and type(i) is int
        seen.add(i)
    assert seen == set(range(60))

def test_it_is_webdatasets_format(plan):
    "The files of one crop stand together and share the name before the first dot"
    with tarfile.open(plan.parent/'00000.tar') as tar: names = tar.getnames()
    stems, kinds = [n.split('.')[0] for n in names], [n.split('.')[1] for n in names]
    assert kinds == ['jpg', 'json']*7 and stems[::2] == stems[1::2] and len(set(stems)) == 7

def test_without_labels(persons, plan, tmp_path):
    bare = write_shards(persons.view(labels=False), tmp_path/'bare', each=7)
    for stream in (ShardStream(bare), ShardStream(plan, labels=False)):
        assert {len(item) for item in stream} == {2} and sorted(numbers(stream)) == list(range(60))
    with pytest.raises(ValueError, match='has no keypoints'): ShardStream(bare, labels=True)

@pytest.mark.parametrize('workers', [0, 2, 3])
def test_all_workers_together_see_each_crop_once(workers, plan):
    seen = torch.cat([b[-1] for b in DataLoader(ShardStream(plan, buffer=9), 8, num_workers=workers)])
    assert sorted(seen.tolist()) == list(range(60))

def test_all_processes_together_see_each_crop_once(plan):
    seen = []
    for rank in range(3):
        stream = ShardStream(plan, buffer=9, seed=4)
        stream.rank, stream.processes = rank, 3
        seen += numbers(stream)
    assert sorted(seen) == list(range(60))

def test_the_order_is_that_of_seed_and_epoch(plan):
    def order(seed, epoch, workers=0):
        stream = ShardStream(plan, labels=False, buffer=20, seed=seed)
        stream.reseed(epoch)
        return torch.cat([b[-1] for b in DataLoader(stream, 4, num_workers=workers)]).tolist()
    assert order(0, 0) == order(0, 0) and order(0, 1, 2) == order(0, 1, 2)
    assert len({tuple(order(s, e)) for s in (0, 1) for e in (0, 1)}) == 4

@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_that_live_on_hear_of_the_epoch(method, plan):
    stream = ShardStream(plan, labels=False, buffer=20)
    loader = DataLoader(stream, 4, num_workers=1, persistent_workers=True, multiprocessing_context=method)
    orders = []
    for epoch in (0, 1, 0):
        stream.reseed(epoch)
        orders.append(torch.cat([b[-1] for b in loader]).tolist())
    assert orders[0] == orders[2] != orders[1]

@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('labels', [False, True])
def test_our_loader_and_steps_take_it(workers, labels, persons, plan):
    "As many batches as it says, epoch after epoch, with the batch step applied"
    step = PoseBatch(persons.skeleton, (32, 32), True) if labels else JigsawBatch(2, 32, colour=None)
    loader = StepLoader(ShardStream(plan, labels, 16, endless=True), step, bs=8, drop_last=True,
                        num_workers=workers, device=torch.device('cpu'))
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 7
        assert {tuple(b[0].shape) for b in batches} == {(8, 3, 32, 32)} and {len(b) for b in batches} == {3}

def test_puzzles_from_shards_are_the_same_for_any_number_of_workers(tmp_path):
    "64 people of the studio, 16 to validate with: losses, metrics and weights to the last bit"
    for part, k in (('train', 64), ('valid', 16)):
        write_shards(puzzle_view(studio(part).subset(range(k)), 32), tmp_path/part, each=20)
    ends = []
    for workers in (0, 2):
        streams = (ShardStream(tmp_path/part/'shards.json', buffer=30) for part in ('train', 'valid'))
        torch.manual_seed(0)
        model = compact(4, width=8)
        rows = pretrain(*streams, model, [Stage(2, 32, 2, .2, batch=8)], workers=workers, bf16=False,
                        device='cpu', log=lambda s: None)
        ends.append(([{**r, 'seconds': 0} for r in rows], model.state_dict()))
    (rows, alone), (same, helped) = ends
    assert rows == same and [r['seen'] for r in rows] == [64, 128]
    assert all(torch.equal(a, b) for a, b in zip(alone.values(), helped.values()))

def test_training_processes_get_shards_and_validating_ones_crops(plan):
    "A round of training meets no crop twice; validation meets each once, whatever the number of shards"
    stems = lambda batches: [crop['stem'] for batch in batches for crop in batch]
    for count in (2, 20):
        all_of = [CropBatches(ShardStream(plan, buffer=9), 4, None, r, count) for r in range(count)]
        assert sorted(map(int, sum(map(stems, all_of), []))) == list(range(60))
        assert all(len(mine) == len(list(mine)) for mine in all_of)
    first, second = (stems(CropBatches(ShardStream(plan, buffer=0), 4, 5, r, 2)) for r in (0, 1))
    assert len(first) == len(second) == 20 and not {*first} & {*second}
    with pytest.raises(ValueError, match='9 shards for 10'): list(CropBatches(ShardStream(plan), 4, 5, 0, 10))

def test_what_is_read_ahead_is_the_same_and_errors_come_in_their_place():
    def broken():
        yield from range(1, 4)
        raise OSError('gone')
    assert list(ahead(iter(range(1, 50)))) == list(range(1, 50)) and not list(ahead(iter([])))
    met = []
    with pytest.raises(OSError, match='gone'):
        for x in ahead(broken()): met.append(x)
    assert met == [1, 2, 3]
    before = threading.active_count()
    some = ahead(iter(range(1, 10**9)))
    assert next(some) == 1
    some.close()
    assert threading.active_count() <= before

def test_more_workers_than_shards_is_said(plan):
    stream = ShardStream(plan)
    stream.processes = 10
    with pytest.raises(ValueError, match='9 shards for 10 workers'): next(iter(stream))

def test_several_plans_are_one_stream(persons, plan, tmp_path):
    other = write_shards(persons.subset(range(10)), tmp_path/'other', each=4)
    stream = ShardStream([plan, other])
    assert len(stream) == 70 and Counter(numbers(stream))[3] == 2

def test_whole_shards_are_kept_and_others_refused(persons, plan, tmp_path, monkeypatch):
    first = {f: f.read_bytes() for f in plan.parent.glob('*.tar')}
    gone = sorted(first)[4]
    gone.unlink()
    written, real = [], shards._write_shard
    monkeypatch.setattr(shards, '_write_shard', lambda path, *a: written.append(path) or real(path, *a))
    write_shards(persons, plan.parent, each=7)
    assert written == [gone] and len(gone.read_bytes()) == len(first[gone])
    with pytest.raises(ValueError, match='holds shards of other crops'):
        write_shards(persons, plan.parent, each=8)
    monkeypatch.setattr(os, 'replace', lambda a, b: 1/0)
    with pytest.raises(ZeroDivisionError): write_shards(persons, tmp_path/'broken', each=7)
    assert not list((tmp_path/'broken').glob('*.tar'))

@pytest.mark.parametrize('size', [0, 1, 7, 100, 1000])
def test_the_buffer_loses_nothing(size):
    out = list(shuffled(range(500), size, random.Random(0)))
    assert sorted(out) == list(range(500)) and (out == list(range(500))) == (size < 1 or size == 1)

def test_the_buffer_moves_a_crop_by_about_its_size():
    out = np.array(list(shuffled(range(20_000), 300, random.Random(0))))
    assert 200 < np.abs(out - np.arange(20_000)).mean() < 400

# connections

class Shaky(BaseHTTPRequestHandler):
    "A web server that breaks off each file twice: at its first byte, and half way"
    def log_message(self, *a): pass
    def do_GET(self):
        data, turn = (self.server.root/self.path[1:]).read_bytes(), self.server.asked[self.path]
        self.server.asked[self.path] += 1
        if self.path.endswith('tar') and turn == 0: return self.send_error(503)
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data)//2] if self.path.endswith('tar') and turn == 1 else data)

@pytest.fixture
def server(plan):
    server = ThreadingHTTPServer(('127.0.0.1', 0), Shaky)
    server.root, server.asked = plan.parent, Counter()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()
    server.server_close()

def test_a_stream_over_a_network_that_breaks(server):
    assert sorted(numbers(ShardStream(f'{server}/shards.json'))) == list(range(60))

def test_a_shard_that_never_comes_is_named(plan):
    (plan.parent/'00003.tar').write_bytes((plan.parent/'00003.tar').read_bytes()[:3000])
    with pytest.raises(OSError, match=r'00003.tar: crop \d+ cannot be read'): list(ShardStream(plan))
    (plan.parent/'00003.tar').unlink()
    with pytest.raises(OSError, match='00003.tar: crop 1 cannot be read'): list(ShardStream(plan))

def test_what_is_no_picture_is_not_decoded(plan):
    "An object of another format in a shard from elsewhere"
    path = plan.parent/'00000.tar'
    with tarfile.open(path, 'w') as tar:
        for name in range(7):
            member = tarfile.TarInfo(f'{name + 7}.jpg')
            member.size = 20
            tar.addfile(member, io.BytesIO(b'%!PS-Adobe-3.0 EPSF '))
    with pytest.raises(ValueError, match='00000.tar: crop 7 cannot be read as a picture'):
        list(ShardStream(plan, labels=False, buffer=0))

def test_a_list_of_eight_thousand_shards_is_short(plan):
    about = json.loads(plan.read_text())
    about['shards'] = [['00000.tar', 7]]*8000
    (plan.parent/'many.json').write_text(json.dumps(about))
    stream = ShardStream(plan.parent/'many.json', labels=False, buffer=50)
    assert len(stream) == 56_000 and sum(len(name) for name, _ in stream.shards) < 1e6
    assert len(list(islice(stream, 200))) == 200

@pytest.mark.parametrize('blocks', range(1, 40, 3))
def test_a_tar_that_just_ends_is_not_taken_for_whole(blocks, plan):
    "Cut between two of its blocks, where tarfile sees the end of a file like any other"
    data = (plan.parent/'00000.tar').read_bytes()
    last = next(k for k in range(len(data)//512, 0, -1) if any(data[512*k-512:512*k]))
    (plan.parent/'00000.tar').write_bytes(data[:512*max(0, last - blocks)])
    with pytest.raises((OSError, ValueError), match='00000.tar'): list(ShardStream(plan))

def test_names_that_are_no_numbers(plan):
    with tarfile.open(plan.parent/'00000.tar') as tar: files = [tar.extractfile(m).read() for m in tar]
    with tarfile.open(plan.parent/'00000.tar', 'w') as tar:
        for k, data in enumerate(files[::2]):
            member = tarfile.TarInfo(f'some/where/person-{k}.jpg')
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    got = numbers(ShardStream(plan, labels=False))
    assert len(set(got)) == 60 and all(type(n) is int for n in got)
    with pytest.raises(ValueError, match='crop person-0 has no label'): list(ShardStream(plan, buffer=0))
