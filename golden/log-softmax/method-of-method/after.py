import torch


def next_token_scores(logits, temperature):
    scores = (logits / temperature).log_softmax(dim=-1)
    return scores.topk(5, dim=-1)
