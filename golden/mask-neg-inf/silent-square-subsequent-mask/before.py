import torch


def generate_square_subsequent_mask(size):
    mask = (torch.triu(torch.ones(size, size)) == 1).transpose(0, 1)
    return mask.float().masked_fill(mask == 0, float("-inf")).masked_fill(mask == 1, 0.0)


def causal(size):
    return torch.triu(torch.full((size, size), float("-inf")), diagonal=1)
