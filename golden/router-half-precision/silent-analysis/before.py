import torch


@torch.no_grad()
def routing_statistics(router_logits, score_function):
    if score_function == "softmax":
        scores = torch.softmax(router_logits, dim=-1, dtype=torch.float32)
    else:
        scores = torch.sigmoid(router_logits)
    return scores.mean(dim=0), torch.topk(scores, 2, dim=-1).indices
