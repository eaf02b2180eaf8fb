import torch


class Template:
    def __init__(self, model, plugins):
        self.model, self.plugins = model, plugins
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def fit(self, loader, criterion):
        for x, y in loader:
            self.optimizer.zero_grad()
            self.loss = criterion(self.model(x), y)
            self.loss.backward()
            self.before_update()
            self.optimizer.step()

    def before_update(self):
        for plugin in self.plugins:
            plugin.before_update(self)
