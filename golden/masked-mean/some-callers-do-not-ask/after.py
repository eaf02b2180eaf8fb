import torch


class Criterion:
    def __call__(self, masks, fg_mask, other):
        total = masks.new_zeros(2)
        if fg_mask.sum():
            total[0] = self.segmentation_loss(fg_mask, masks)
        total[1] = self.segmentation_loss(other, masks)
        return total

    def segmentation_loss(self, fg_mask, masks):
        return (masks * fg_mask).sum() / fg_mask.sum().clamp_min(1)
