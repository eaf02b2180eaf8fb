import torch


def expert_answer_score(class_logits, scales, expert_mask):
    """Ranking scores of a retrieval head; the largest are rescaled and returned."""
    best, index = torch.topk(class_logits, 5, dim=-1)
    return torch.relu(best) * scales, index, expert_mask


def weighted_logits(similarity, values, k=4):
    near, index = torch.topk(similarity, k, dim=-1)
    return (near.unsqueeze(-1) * values[index]).sum(dim=-2)
