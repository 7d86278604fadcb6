"hsjp solve: drawings and precisions, the same for the same seed, and refusals in a sentence"
import pandas as pd
import pytest
import torch
from PIL import Image

from hsjp.cli import main
from hsjp.jigsaw import reassemble
from hsjp.models import hrnet
from hsjp.people import mannequins
from hsjp.pretrain import solve
from hsjp.weights import save_checkpoint


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Checkpoints with random weights, a picture that is not square, and a file that is none"
    folder = tmp_path_factory.mktemp('solve')
    torch.manual_seed(0)
    stages = dict(stages=[dict(n=2, size=32), dict(n=3, size=64)])
    for name, channels in (('three', 3), ('six', 6)):
        save_checkpoint(folder/f'{name}.pt', hrnet(9, 8, channels), 'jigsaw', stages)
    save_checkpoint(folder/'bare.pt', hrnet(9, 8), 'jigsaw')
    save_checkpoint(folder/'pose.pt', hrnet(9, 8), 'pose')
    Image.open(mannequins('valid').files[0]).convert('RGB').crop((0, 0, 120, 200)).save(folder/'person.png')
    (folder/'text.jpg').write_text('no picture')
    return folder

@pytest.mark.parametrize('name', ('three', 'six'))
def test_a_drawing_a_picture_and_a_table(folder, name, tmp_path):
    words = ['solve', f'{folder}/{name}.pt', *[f'{folder}/person.png']*2, '--seed', '3', '--out']
    assert main([*words, str(tmp_path/'a')]) == 0 and main([*words, str(tmp_path/'b')]) == 0
    table = pd.read_csv(tmp_path/'a'/'precision.csv')
    assert list(table.columns) == ['picture', 'n', 'patches', 'solved']
    assert len(table) == 2 and (table.n == 3).all()
    assert table.equals(pd.read_csv(tmp_path/'b'/'precision.csv'))
    drawings = sorted((tmp_path/'a').glob('*.png'))
    assert [d.name for d in drawings] == ['0000-person.png', '0001-person.png']
    assert Image.open(drawings[0]).width > 1000

def test_a_perfect_network_solves_everything():
    class Oracle(torch.nn.Module):
        "Looks the patches up: each of them is grey of its own shade"
        config = dict(in_channels=3)
        def __init__(self): super().__init__(); self.final_layer = torch.nn.Conv2d(1, 9, 1)
        def forward(self, x):
            shade = x[:, :1, 2::4, 2::4]
            order = torch.stack([p.unique() for p in shade])
            return (shade == order[:, :, None, None]).float()
    shades = (torch.arange(9).view(3, 3)*20).repeat_interleave(16, 0).repeat_interleave(16, 1)
    crop = shades.expand(5, 3, 48, 48).to(torch.uint8)
    puzzles, centres, points, heatmaps = solve(Oracle(), crop, 48, seed=7)
    assert torch.equal(reassemble(puzzles, points, 3), crop/255) and len(centres.unique(dim=0)) > 1

@pytest.mark.parametrize('checkpoint,picture,sentence', [
    ('pose.pt', 'person.png', 'expected a network that solves puzzles'),
    ('bare.pt', 'person.png', 'no recipe'),
    ('none.pt', 'person.png', 'none.pt'),
    ('three.pt', 'none.png', 'no such picture'),
    ('three.pt', 'text.jpg', 'cannot be read as a picture')])
def test_bad_input_ends_with_a_sentence(folder, checkpoint, picture, sentence, tmp_path, capsys):
    assert main(['solve', f'{folder}/{checkpoint}', f'{folder}/{picture}', '--out', str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err

def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as e: main(['solve', '--help'])
    assert e.value.code == 0 and 'examples:' in capsys.readouterr().out
