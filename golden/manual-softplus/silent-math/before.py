import math

import torch


def f(x, beta):
    return x * math.log(1 + math.exp(beta))
