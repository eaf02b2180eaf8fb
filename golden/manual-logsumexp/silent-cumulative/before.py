import torch


def log_survival(hazard):
    return torch.log(torch.exp(hazard).cumsum(dim=-1))
