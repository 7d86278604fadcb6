"Downloads from a server that misbehaves, zips that do, and disks that are full: what is whole gets its name"
import errno
import hashlib
import http.server
import io
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from hsjp import cli, coco, download
from hsjp.coco import PARTS, complete, download_archives, next_commands
from hsjp.download import fetch, unpack

DATA = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(DATA).hexdigest()
SOON = dict(progress=False, wait=.01, timeout=2., tries=3)

class Script(http.server.BaseHTTPRequestHandler):
    """Files of `server.files`, each answer as the next word of `server.script` says: '', 'cut', 'close',
    '500', 'plain' (no Range), 'stall', 'drip', 'lie' (another part), 'long' (promises more), 'chunked',
    'nameless' (no tag)
    """
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def do_GET(self):
        server, self.close_connection = self.server, True
        do = server.script.pop(0) if server.script else ''
        server.asked.append((self.path, self.headers.get('Range', ''), do))
        if do == 'close': return self.connection.shutdown(2)
        if do.isdigit() or self.path not in server.files: return self.send_error(int(do or 404))
        data = server.files[self.path]
        tag = '' if do == 'nameless' else f'"{len(data)}-{zlib.crc32(data[:1000])}"'
        wanted, begin = re.match(r'bytes=(\d+)-', self.headers.get('Range', '')), 0
        if wanted and do != 'plain' and self.headers.get('If-Range', tag) == tag: begin = int(wanted[1])
        if begin >= len(data): return self.send_error(416)
        body, first = data[begin:], begin + 7 if do == 'lie' else begin
        self.send_response(206 if begin else 200)
        if begin: self.send_header('Content-Range', f'bytes {first}-{len(data) - 1}/{len(data)}')
        if tag: self.send_header('ETag', tag)
        if do == 'chunked': self.send_header('Transfer-Encoding', 'chunked')
        else: self.send_header('Content-Length', str(len(body) + (do == 'long')*1000))
        self.end_headers()
        self.send(do, body)
    def send(self, do, body):
        try:
            if do == 'chunked': body = b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)
            if do in ('cut', 'plain', 'nameless', 'stall'): body = body[:self.server.piece]
            if do == 'drip':
                while not self.server.quiet.wait(.02): self.wfile.write(b'x')
            else: self.wfile.write(body)
            if do == 'stall': self.server.quiet.wait(10)
        except ConnectionError: pass

class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(('127.0.0.1', 0), Script)
        self.files, self.script, self.asked, self.piece = {'/f': DATA}, [], [], 100_000
        self.quiet, self.url = threading.Event(), f'http://127.0.0.1:{self.server_port}'
    def ranges(self): return [r for _, r, _ in self.asked]

@pytest.fixture
def server():
    s = Server()
    thread = threading.Thread(target=s.serve_forever, kwargs=dict(poll_interval=.01), daemon=True)
    thread.start()
    yield s
    s.quiet.set()
    s.shutdown()
    s.server_close()

def get(server, folder, **more):
    fetch(f'{server.url}/f', folder/'f', **{**SOON, 'md5': MD5, **more})
    assert (folder/'f').read_bytes() == DATA and [p.name for p in folder.iterdir()] == ['f']

@pytest.mark.parametrize('script', [
    [], ['cut', 'cut'], ['500', '503'], ['close'], ['429', 'cut'], ['long'], ['chunked'], ['cut', 'lie'],
    ['cut', 'plain', ''], ['cut', '416'], ['nameless', ''], ['cut']*30],
    ids=lambda s: '-'.join(s[:3]) or 'fine')
def test_it_comes_in_the_end(server, tmp_path, script):
    server.script, server.piece = list(script), 100_000 if len(script) < 9 else 9_000
    get(server, tmp_path)

def test_it_goes_on_where_it_stopped(server, tmp_path):
    server.script = ['cut', 'cut']
    get(server, tmp_path)
    assert server.ranges() == ['', 'bytes=100000-', 'bytes=200000-']

def test_another_start_goes_on_too(server, tmp_path):
    server.script = ['cut', '500', '500', '500']
    with pytest.raises(OSError, match='500.*3 times in a row; the 100,000 bytes that came are kept'):
        get(server, tmp_path)
    get(server, tmp_path)
    assert server.ranges()[-1] == 'bytes=100000-'

def test_a_part_that_is_all_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path/'f.part').write_bytes(DATA)
    (tmp_path/'f.part.json').write_text(json.dumps(dict(tag='', length=len(DATA))))
    get(server, tmp_path)
    assert not server.asked

@pytest.mark.parametrize('note', ['', '{"tag"', None])
def test_a_part_without_its_note_starts_anew(server, tmp_path, note):
    (tmp_path/'f.part').write_bytes(b'z'*1000)
    if note is not None: (tmp_path/'f.part.json').write_text(note)
    get(server, tmp_path)
    assert server.ranges() == ['']

def test_a_changed_file_starts_anew(server, tmp_path):
    server.files['/f'], server.script = DATA[::-1], ['cut', '404']
    with pytest.raises(OSError, match='404'): get(server, tmp_path)
    server.files['/f'] = DATA
    get(server, tmp_path, md5=None)
    assert server.ranges()[1:] == ['bytes=100000-']*2

def test_a_page_of_a_gateway_does_not_cost_what_came(server, tmp_path):
    server.script = ['cut', '404']
    with pytest.raises(OSError, match='404'): get(server, tmp_path)
    server.files['/f'] = b'<html>please log in</html>'
    with pytest.raises(OSError, match='offers 26 bytes, expected 300,000.*100,000 bytes that came are kept'):
        get(server, tmp_path, size=len(DATA))
    server.files['/f'] = DATA
    get(server, tmp_path, size=len(DATA))

@pytest.mark.parametrize('code', [401, 403, 404, 410])
def test_what_does_not_pass_is_not_tried_again(server, tmp_path, code):
    server.script = [str(code)]*3
    with pytest.raises(OSError, match=f'answered {code}'): get(server, tmp_path)
    assert len(server.asked) == 1

@pytest.mark.parametrize('do, why', [
    ('stall', 'nothing came for 0.3 seconds'), ('drip', 'fewer than 1,000 bytes a second')])
def test_a_slow_line_is_a_broken_line(server, tmp_path, do, why):
    server.script = [do]*3
    server.piece = 0
    with pytest.raises(OSError, match=why): get(server, tmp_path, timeout=.3, tries=2)
    assert len(server.asked) == 2

def test_a_stall_is_left_behind(server, tmp_path):
    server.script = ['stall']
    get(server, tmp_path, timeout=.3)
    assert server.ranges()[1] == 'bytes=100000-'

def test_it_gives_up_where_nothing_new_comes(server, tmp_path):
    server.script = ['plain']*50  # always from the start, always cut at the same place
    with pytest.raises(OSError, match='cut, 3 times in a row'): get(server, tmp_path)
    assert len(server.asked) == 3

def test_it_waits_longer_each_time(server, tmp_path):
    server.script = ['500']*4
    began = time.monotonic()
    with pytest.raises(OSError, match='4 times in a row'): get(server, tmp_path, tries=4, wait=.1)
    assert .6 <= time.monotonic() - began < 3  # 0 + .2 + .4

@pytest.mark.parametrize('url', ['http://127.0.0.1:9/f', 'http://nobody.invalid/f', 'ftp://x/f', 'nonsense'])
def test_no_server_is_a_sentence(tmp_path, url):
    with pytest.raises(OSError, match=re.escape(url)): fetch(url, tmp_path/'f', **SOON)
    assert not (tmp_path/'f').exists()

def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(ValueError, match=f'has the MD5 {MD5}, expected 0000'):
        get(server, tmp_path, md5='0'*32)
    assert not list(tmp_path.iterdir())

class Full(io.FileIO):
    "A file on a disk that is full after 150,000 bytes"
    def write(self, data):
        if self.tell() + len(data) > 150_000: raise OSError(errno.ENOSPC, 'No space left on device')
        return super().write(data)

def test_a_full_disk_is_a_sentence_and_costs_nothing(server, tmp_path, monkeypatch):
    server.script = ['cut']
    full = lambda p, mode='r', **k: Full(p, 'a') if mode == 'ab' else open(p, mode, **k)
    monkeypatch.setattr(download, 'open', full, raising=False)
    with pytest.raises(OSError, match='no space is left.*what is there is kept'): get(server, tmp_path)
    monkeypatch.undo()
    assert (tmp_path/'f.part').stat().st_size >= 100_000
    get(server, tmp_path)
    assert int(server.ranges()[-1][6:-1]) >= 100_000

# Zips

def made(members, path=None, **how):
    "A zip: {name or ZipInfo: bytes}"
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w', zipfile.ZIP_DEFLATED, **how) as z:
        for name, data in members.items(): z.writestr(name, data)
    if path: path.write_bytes(raw.getvalue())
    return raw.getvalue()

def pressed(**members):
    "As `made`, by LZMA"
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w', zipfile.ZIP_LZMA) as z:
        for name, data in members.items(): z.writestr(name, data)
    return raw.getvalue()

def special(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info

@pytest.mark.parametrize('member', [
    '../x', 'a/../../x', '/x', '\\x', '..\\x', 'C:/x', 'C:x', 'a/b:c', '//host/share/x', '..',
    special('link', 0o120777), special('pipe', 0o010666), special('device', 0o060666)],
    ids=lambda m: getattr(m, 'filename', m))
def test_members_stay_in_the_folder(tmp_path, member):
    made({'good': b'1', member: b'/etc'}, tmp_path/'e.zip')
    with pytest.raises(ValueError, match='outside its folder|a link or a device'):
        unpack(tmp_path/'e.zip', tmp_path/'a'/'out', progress=False)
    assert [p.name for p in tmp_path.rglob('*')] == ['e.zip']

@pytest.mark.parametrize('member', [
    'a/b.jpg', 'a\\b.jpg', './a/b.jpg', 'a//b.jpg', special('a/b.jpg', 0o100644)])
def test_honest_members_come_out(tmp_path, member):
    made({member: b'hello', 'a/..b': b'', 'empty/': b''}, tmp_path/'z.zip')
    unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert (tmp_path/'a'/'b.jpg').read_bytes() == b'hello' and (tmp_path/'a'/'..b').exists()

def forged(raw, size):
    "The same zip, whose directory and headers promise another size for each member"
    with zipfile.ZipFile(io.BytesIO(raw)) as z: true = {m.file_size for m in z.infolist()}
    for t in true: raw = raw.replace(t.to_bytes(4, 'little'), size.to_bytes(4, 'little'))
    return raw

def test_a_bomb_does_not_grow_beyond_what_it_says(tmp_path):
    (tmp_path/'z.zip').write_bytes(forged(made({'bomb': bytes(20_000_003)}), 1000))
    with pytest.raises(ValueError, match='no whole zip'): unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert sum(p.stat().st_size for p in tmp_path.iterdir() if p.name != 'z.zip') <= 1000

def test_what_a_bomb_says_is_held_against_the_disk(tmp_path):
    (tmp_path/'z.zip').write_bytes(forged(made({f'{i}': bytes(20_003) for i in range(200)}), 4_000_000_000))
    with pytest.raises(OSError, match='needs 800.0 GB .* GB are free'):
        unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 1

def test_a_member_shorter_than_it_says(tmp_path):
    (tmp_path/'z.zip').write_bytes(forged(made({'x': bytes(20_003)}), 30_000))
    with pytest.raises(ValueError, match='no whole zip'): unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert not (tmp_path/'x').exists()

@pytest.mark.parametrize('damage', [
    lambda z: z[:-30], lambda z: z[:len(z)//2], lambda z: b'', lambda z: b'<html>'*99,
    lambda z: z[:200] + bytes([z[200] ^ 255]) + z[201:]])
def test_a_damaged_zip_is_a_sentence(tmp_path, damage):
    (tmp_path/'z.zip').write_bytes(damage(made({'x': DATA, 'y': b'2'})))
    with pytest.raises(ValueError, match='z.zip is no whole zip .*delete it'):
        unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert not (tmp_path/'x').exists()

def test_a_damaged_zip_of_lzma_is_a_sentence(tmp_path):
    whole, said = pressed(x=DATA), 0
    for at in range(30, 300, 9):
        (tmp_path/'z.zip').write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at+1:])
        try: unpack(tmp_path/'z.zip', tmp_path/str(at), progress=False)
        except ValueError as e: said += 'no whole zip' in str(e)
    assert said > 10

def test_unpacking_goes_on(tmp_path):
    made({'x': b'one', 'y': b'two', 'z': b'three'}, tmp_path/'z.zip')
    (tmp_path/'x').write_bytes(b'ONE')        # there in its size: left alone
    (tmp_path/'y').write_bytes(b't')          # half
    (tmp_path/'z.part').write_bytes(b'thr')   # killed while it was written
    unpack(tmp_path/'z.zip', tmp_path, progress=False)
    assert [(tmp_path/n).read_bytes() for n in 'xyz'] == [b'ONE', b'two', b'three']
    assert not list(tmp_path.glob('*.part'))

# COCO, made small

@pytest.fixture
def small(server, monkeypatch):
    "COCO's layout with three pictures a split, in place of the real one"
    splits = ('train2017', 'val2017', 'test2017')
    images = {s: [f'{i:012d}.jpg' for i in range(k, k + 3)] for k, s in enumerate(splits)}
    listing = lambda s: json.dumps(dict(images=[dict(file_name=n) for n in images[s]]))
    zips = {'/annotations/annotations_trainval2017.zip': made(
                {f'annotations/person_keypoints_{s}.json': listing(s) for s in ('train2017', 'val2017')}),
            '/annotations/image_info_test2017.zip': made(
                {f'annotations/image_info_test{d}2017.json': listing('test2017') for d in ('', '-dev')}),
            **{f'/zips/{s}.zip': made({f'{s}/{n}': DATA for n in names}) for s, names in images.items()}}
    server.files |= zips
    def tiny(a):
        data = zips[f'/{a.path}']
        return replace(a, size=len(data), md5=hashlib.md5(data).hexdigest(), unpacked=10**6, pictures=3)
    parts = {part: tuple(map(tiny, some)) for part, some in PARTS.items()}
    monkeypatch.setattr(coco, 'PARTS', parts)
    return parts

def run(server, out, *words):
    return cli.main(['download', 'coco', '--out', str(out), '--url', server.url, *words])

def test_the_command(server, small, tmp_path, capsys):
    assert run(server, tmp_path/'coco') == 0
    out = capsys.readouterr().out
    for said in ('to come: ', 'min at 10 MB/s', 'MD5 as published', 'the CRC of each', 'train2017: 3 pict'):
        assert said in out
    assert sorted(p.name for p in (tmp_path/'coco').glob('[!.]*')) == ['annotations', 'train2017', 'val2017']
    lines = [line[6:] for line in out.splitlines() if line.startswith('next: ')]
    assert [line.split()[1] for line in lines] == ['pretrain', 'finetune', 'evaluate']
    for line in lines:
        a = cli.parser().parse_args(shlex.split(line)[1:])
        assert Path(a.data).is_file() and Path(a.pictures).is_dir()
    count = len(server.asked)
    assert run(server, tmp_path/'coco') == 0 and len(server.asked) == count
    assert 'train2017.zip: is there' in capsys.readouterr().out

def test_parts_and_zips_that_stay(server, small, tmp_path, capsys):
    assert run(server, tmp_path, '--parts', 'test-dev', '--keep-zips') == 0
    names = ['annotations', 'image_info_test2017.zip', 'test2017', 'test2017.zip']
    assert sorted(p.name for p in tmp_path.glob('[!.]*')) == names
    assert 'image_info_test-dev2017.json' in capsys.readouterr().out.splitlines()[-1]

def test_words_of_the_command_are_the_parts():
    words = cli.parser()._subparsers._group_actions[0].choices['download']._actions
    assert next(a for a in words if a.dest == 'parts').choices == [p for p in coco.PARTS]
    assert next(a for a in words if a.dest == 'url').default == coco.SERVER

def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as e: cli.main(['download', '--help'])
    out = capsys.readouterr().out
    assert e.value.code == 0 and 'examples:' in out
    for line in re.findall(r'^hsjp .+', out, re.M): cli.parser().parse_args(shlex.split(line)[1:])

@pytest.mark.parametrize('words, sentence', [
    (['--url', 'nonsense'], 'is no server'), (['--parts', 'val'], 'answered 404')])
def test_refusals_are_one_line(server, tmp_path, capsys, words, sentence):
    assert cli.main(['download', 'coco', '--out', str(tmp_path), '--url', server.url, *words]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and err[0].startswith('hsjp: ') and sentence in err[0]

def test_a_folder_that_cannot_be(server, small, tmp_path, capsys):
    (tmp_path/'file').write_text('')
    assert run(server, tmp_path/'file') == 2
    assert 'cannot be written' in capsys.readouterr().err

def test_no_space_is_said_before(server, small, tmp_path, monkeypatch, capsys):
    usage = type('Usage', (), dict(free=10_000))
    monkeypatch.setattr(download.shutil, 'disk_usage', lambda _: usage)
    assert run(server, tmp_path) == 2 and not server.asked
    assert 'GB are free' in capsys.readouterr().err

def test_room_that_is_needed():
    default = [PARTS[p][0] for p in ('annotations', 'val', 'train')]
    come, most, _ = coco._plan(default, Path('nowhere'), False)
    kept = coco._plan(default, Path('nowhere'), True)[1]
    unpacked = sum(a.unpacked or a.size for a in default)
    assert come == sum(a.size for a in default) and most == unpacked + default[2].size
    assert kept == come + unpacked

def test_a_lost_picture_comes_back(server, small, tmp_path, capsys):
    assert run(server, tmp_path) == 0
    (tmp_path/'train2017'/'000000000001.jpg').unlink()
    old = (tmp_path/'train2017'/'000000000000.jpg').stat().st_mtime_ns
    assert not complete(small['train'][0], tmp_path) and run(server, tmp_path) == 0
    assert (tmp_path/'train2017'/'000000000001.jpg').read_bytes() == DATA
    assert (tmp_path/'train2017'/'000000000000.jpg').stat().st_mtime_ns == old
    assert [p for p, _, _ in server.asked].count('/zips/val2017.zip') == 1

def test_pictures_that_the_zip_lacks_are_named(server, small, tmp_path, capsys):
    assert run(server, tmp_path, '--parts', 'annotations') == 0
    listed = tmp_path/'annotations'/'person_keypoints_val2017.json'
    listed.write_text(json.dumps(dict(images=[dict(file_name=f) for f in ('gone.jpg', '000000000001.jpg')])))
    assert run(server, tmp_path, '--parts', 'val') == 2
    assert 'lacks 1 pictures' in (err := capsys.readouterr().err) and 'gone.jpg' in err

def test_a_zip_that_was_there_is_used(server, small, tmp_path):
    (tmp_path/'val2017.zip').write_bytes(server.files['/zips/val2017.zip'])
    assert run(server, tmp_path, '--parts', 'val') == 0 and not server.asked

def test_a_zip_that_was_unpacked_and_not_deleted_goes(server, small, tmp_path):
    assert run(server, tmp_path, '--parts', 'val') == 0
    (tmp_path/'val2017.zip').write_bytes(server.files['/zips/val2017.zip'])
    assert run(server, tmp_path, '--parts', 'val', '--keep-zips') == 0 and (tmp_path/'val2017.zip').is_file()
    assert run(server, tmp_path, '--parts', 'val') == 0 and not (tmp_path/'val2017.zip').exists()

def test_ctrl_c_says_how_to_go_on(server, small, tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__): raise KeyboardInterrupt
    monkeypatch.setattr(coco, 'unpack', interrupted)
    assert run(server, tmp_path, '--parts', 'val') == 130
    assert 'the same command goes on' in capsys.readouterr().out
    monkeypatch.undo()
    download_archives(small['val'], tmp_path, server.url, **SOON)
    assert len(server.asked) == 1

def test_quoted_folders(tmp_path, small, server):
    out = tmp_path/'my data'
    download_archives([*small['annotations'], *small['val']], out, server.url, **SOON)
    assert shlex.split(next_commands(out)[0])[4] == str(out/'annotations'/'person_keypoints_val2017.json')

# Processes

FORTY = {f'{i}.jpg': DATA[i*7000:i*7000 + 7000] for i in range(40)}
START = '''
import sys
from hsjp.coco import Archive, download_archives
size, md5 = int(sys.argv[3]), sys.argv[4]
archive = Archive('f.zip', size, md5, size, folder='pictures', pictures=40)
download_archives([archive], sys.argv[1], sys.argv[2], progress=False, wait=.01, tries=5)
'''

@pytest.fixture
def start(server):
    "A function that starts the download of forty pictures in a process of its own"
    server.files['/f.zip'] = data = made({f'pictures/{name}': picture for name, picture in FORTY.items()})
    words = [server.url, str(len(data)), hashlib.md5(data).hexdigest()]
    begun = []
    def started(out):
        call = [sys.executable, '-c', START, str(out), *words]
        begun.append(subprocess.Popen(call, stdout=subprocess.PIPE, text=True))
        return begun[-1]
    yield started
    for p in begun: p.kill(), p.wait(), p.stdout.close()

def whole(out):
    pictures = {p.name: p.read_bytes() for p in (out/'pictures').iterdir()}
    return pictures == FORTY and not list(out.glob('f.zip*'))

def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(.01)

def test_two_processes_share_the_work(server, start, tmp_path):
    server.script = ['stall']
    first = start(tmp_path)
    until(lambda: server.asked)
    second = start(tmp_path)
    assert 'another process' in second.stdout.readline()
    server.quiet.set()
    assert first.wait(30) == second.wait(30) == 0 and whole(tmp_path)
    assert server.ranges() == ['', 'bytes=100000-']

@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed(server, start, tmp_path, how):
    server.script = ['stall']
    process = start(tmp_path)
    part = tmp_path/'f.zip.part'
    until(lambda: part.is_file() and part.stat().st_size >= 90_000)
    process.send_signal(how)
    process.wait(30)
    assert not (tmp_path/'f.zip').exists()
    assert start(tmp_path).wait(30) == 0 and whole(tmp_path)
    assert int(server.ranges()[-1][6:-1]) >= 90_000

@pytest.mark.slow
def test_killed_at_any_moment(server, start, tmp_path):
    draw = random.Random(1)
    for k in range(12):
        out = tmp_path/str(k)
        server.piece = 20_000
        server.script = ['cut']*200
        process = start(out)
        until(lambda out=out: out.is_dir())
        time.sleep(draw.random()*.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        server.script = []
        assert start(out).wait(60) == 0 and whole(out)

@pytest.mark.slow
def test_a_large_file_with_many_cuts(server, tmp_path):
    server.files['/f'] = data = random.Random(2).randbytes(4_000_037)*100
    server.script, server.piece = ['cut']*40, 9_000_000
    fetch(f'{server.url}/f', tmp_path/'f', md5=hashlib.md5(data).hexdigest(), **SOON)
    assert (tmp_path/'f').stat().st_size == len(data) and len(server.asked) == 41

@pytest.mark.slow
def test_as_many_pictures_as_coco(tmp_path):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w') as z:
        for i in range(118_287): z.writestr(f'train2017/{i:012d}.jpg', b'x'*100)
    (tmp_path/'train2017.zip').write_bytes(raw.getvalue())
    assert len(unpack(tmp_path/'train2017.zip', tmp_path, progress=False)) == 118_287
    assert complete(PARTS['train'][0], tmp_path)
    began = time.monotonic()
    unpack(tmp_path/'train2017.zip', tmp_path, progress=False)
    assert time.monotonic() - began < 30
