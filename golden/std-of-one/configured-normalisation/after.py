import torch


class Trainer:
    def train(self, values, adv):
        if self.normalize_advantage:
            if adv.numel() > 1:
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
        return (values * adv).mean()
