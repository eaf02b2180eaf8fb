import torch


def masked_token_loss(loss, seq_len, rand_probs):
    num_masked = (rand_probs * seq_len).clamp(min=1.0)
    ranks = torch.rand(loss.shape, device=loss.device).argsort(dim=-1)
    mask = ranks < num_masked.unsqueeze(-1)
    return loss[mask].mean() + (loss * mask).sum() / mask.sum()
