import torch


class LearningRateFinder:
    def __init__(self, model, criterion):
        self.model, self.criterion = model, criterion
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-7)

    def run(self, loader, factor=1.1):
        losses = []
        for x, y in loader:
            loss = self.criterion(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
            for group in self.optimizer.param_groups:
                group["lr"] *= factor
        return losses
