import torch
from torch.nn import functional as F


def contrastive_loss(image, text, ids, queue_ids, queue):
    ids = ids.view(-1, 1)
    all_ids = torch.cat([ids.t(), queue_ids.clone().detach()], dim=1)
    positive = torch.eq(ids, all_ids).float()
    targets = positive / positive.sum(1, keepdim=True)
    logits = image @ torch.cat([text.t(), queue], dim=1)
    return -(F.log_softmax(logits, dim=1) * targets).sum(1).mean()
