import torch
import torch.nn.functional as F
from torch import nn


def route(p, kept):
    weights = p * kept
    return weights
