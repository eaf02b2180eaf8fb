import torch


class Trainer:
    def train(self, loader):
        history = {}
        for step, (x, y) in enumerate(loader):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            history[step] = loss
        return history
