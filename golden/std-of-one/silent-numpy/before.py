import numpy as np
import torch


def f(rewards):
    rewards = np.asarray(rewards)
    return torch.as_tensor((rewards - rewards.mean()) / (rewards.std() + 1e-8))
