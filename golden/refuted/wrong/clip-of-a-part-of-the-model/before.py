import torch


class Trainer:
    def fit(self, loader):
        opt = torch.optim.AdamW(self.model.parameters())
        for x in loader:
            loss = self.model(x)
            loss.backward()
            opt.step()
            opt.zero_grad()
