import torch as t
from torch import log
from torch.nn.functional import softmax


def score(logits):
    return log(softmax(input=logits, dim=t.argmax(t.tensor([0])).item()))
