import torch


class Trainer:
    def compute_loss(self, ratio, advantages, mask):
        per_token = -ratio * advantages
        loss = ((per_token * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()

        def per_sequence(x):
            return (x * mask).sum(-1) / mask.sum(-1)

        clipped = per_sequence((ratio > 1.2).float())
        gathered = self.gather(clipped)
        self.metrics["clip_ratio"].append(gathered.nanmean().item())
        return loss
