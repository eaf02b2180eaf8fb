import torch


class Trainer:
    def train(self, values, adv):
        if self.normalize_advantage:
            adv = (adv - adv.mean()) / (adv.std(correction=min(1, adv.numel() - 1)) + 1e-8)
        return (values * adv).mean()
