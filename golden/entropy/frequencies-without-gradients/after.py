import torch


@torch.no_grad()
def codebook_entropy(freq):
    return -(-torch.special.entr(freq)).sum()
