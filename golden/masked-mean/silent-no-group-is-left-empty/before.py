import torch


def cluster(x, k, steps=32):
    centres = x[torch.randperm(len(x))[:k]]
    distances, nearest = torch.abs(x.unsqueeze(-1) - centres).min(-1)
    for _ in range(steps):
        mask = torch.arange(k).unsqueeze(-1).eq(nearest)
        empty = torch.where(~mask.any(-1))[0].tolist()
        while len(empty) > 0:
            for i in empty:
                largest = torch.where(mask[mask.sum(-1).argmax()])[0]
                nearest[largest[distances[largest].argmax()]] = i
                mask = torch.arange(k).unsqueeze(-1).eq(nearest)
            empty = torch.where(~mask.any(-1))[0].tolist()
        centres = (x * mask).sum(-1) / mask.sum(-1)
        distances, nearest = torch.abs(x.unsqueeze(-1) - centres).min(-1)
    return centres, nearest
