import torch


class Learner:
    def __init__(self, net, lr):
        self.net = net
        self.optimizer = torch.optim.RMSprop(self.net.parameters(), lr=lr)

    def compute_gradients(self, x, y):
        loss = torch.nn.functional.mse_loss(self.net(x), y)
        loss.backward()
        return loss

    def apply_gradients(self):
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), max_norm=1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def learn(self, loader):
        for x, y in loader:
            self.compute_gradients(x, y)
            self.apply_gradients()
