import torch


class Trainer:
    def __init__(self, model, lr):
        self.model = model
        self.criterion = torch.nn.MSELoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def epoch(self, loader):
        total = 0.0
        for features, target in loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(features), target)
            loss.backward()

            # update the weights
            # (one step of SGD)
            self.optimizer.step()

            # keep rare batches from throwing the model off
            # (see appendix B)
            torch.nn.utils.clip_grad_norm_(
                self.model.parameters(),
                max_norm=0.5,  # as in the paper
            )

            total += loss.item()
        return total / len(loader)
