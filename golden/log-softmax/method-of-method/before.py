import torch


def next_token_scores(logits, temperature):
    scores = (logits / temperature).softmax(-1).log()
    return scores.topk(5, dim=-1)
