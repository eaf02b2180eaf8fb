import torch


def explanation_loss(prediction, edge_mask, weight):
    edge_mask = edge_mask * 0.99 + 0.005
    entropy = -edge_mask * torch.log(edge_mask) - (1 - edge_mask) * torch.log(1 - edge_mask)
    return prediction + weight * torch.mean(entropy)
