"Small tensors on few cores: one thread is fastest"
import matplotlib, torch

matplotlib.use('Agg')
torch.set_num_threads(1)
