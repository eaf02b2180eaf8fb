import torch


def route_tokens(logits: torch.Tensor, topk: int, capacity: int):
    """Probabilities and experts of each token, and how many tokens each expert gets."""
    num_experts = logits.shape[1]
    scores, top_indices = torch.topk(torch.softmax(logits, dim=-1, dtype=torch.float32), k=topk, dim=1)
    probs = (scores / scores.sum(dim=-1, keepdim=True) if topk > 1 else scores).type_as(logits)
    tokens_per_expert = torch.bincount(top_indices.flatten(), minlength=num_experts).clamp(max=capacity)
    return probs, top_indices, tokens_per_expert
