import torch


@torch.no_grad()
def sample_top_k(model, tokens, top_k, experts=None):
    logits = model(tokens)[:, -1]
    values, index = torch.topk(logits, top_k, dim=-1)
    probs = torch.softmax(values, dim=-1)
    choice = torch.multinomial(probs, num_samples=1)
    return index.gather(-1, choice)
