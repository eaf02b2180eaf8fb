import torch


def forward_attention(scores, value, mask, chunk_mask=None):
    mask = mask.unsqueeze(1).unsqueeze(2)
    if chunk_mask is not None:
        mask = chunk_mask.unsqueeze(0).unsqueeze(1) | mask
    scores = scores.masked_fill(mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1).masked_fill(mask, 0.0)
    return torch.matmul(weights, value)
