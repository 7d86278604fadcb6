"Small tensors on few cores: one thread is fastest"
import matplotlib
import torch

matplotlib.use('Agg')
torch.set_num_threads(1)
