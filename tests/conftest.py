"Small tensors on few cores: one thread is fastest"
import matplotlib
import pytest
import torch

from hsjp.models import hrnet

matplotlib.use('Agg')
torch.set_num_threads(1)

@pytest.fixture
def tiny():
    "The smallest HRNet"
    return hrnet(16, width=4)
