import numpy as np
import torch


def parents(population, temperature):
    scores = torch.Tensor([member.score for member in population])
    weights = (-scores / temperature).exp()
    chances = (weights / weights.sum()).cpu().numpy()
    return np.random.choice(len(population), size=len(population) - 1, p=chances)
