import torch


def initial_beam_scores(batch, beams, device):
    beam_scores = torch.zeros((batch, beams), device=device)
    beam_scores[:, 1:] = -1e9
    return beam_scores.view(-1)
