import torch


@torch.no_grad()
def codebook_entropy(freq):
    return -(freq * torch.log(freq)).sum()
