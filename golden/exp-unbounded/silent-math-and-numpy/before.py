import math

import numpy as np
import torch


def schedule(step, log_scale, log_std):
    return math.exp(log_scale * step), np.exp(log_std), torch.exp(torch.tensor(math.log(0.5)))
