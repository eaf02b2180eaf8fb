import torch


class Trainer:
    def fit(self, loader):
        opt = torch.optim.AdamW(self.model.parameters())
        for x in loader:
            loss = self.model(x)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.head.parameters(), 1.0)
            opt.step()
            opt.zero_grad()
