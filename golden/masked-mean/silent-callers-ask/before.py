import torch
from torch.nn import functional as F


class Criterion:
    def __call__(self, scores, masks, fg_mask):
        total = scores.new_zeros(2)
        total[0] = F.binary_cross_entropy_with_logits(scores, fg_mask.float())
        if fg_mask.sum():
            total[1] = self.segmentation_loss(fg_mask, masks, scores)
        else:
            total[1] = (masks * 0).sum()
        return total

    def segmentation_loss(self, fg_mask, masks, scores):
        loss = torch.zeros((), device=masks.device)
        for chosen, predicted in zip(fg_mask, masks):
            loss = loss + predicted[chosen].square().sum()
        return loss / fg_mask.sum()
