import torch


class Learner:
    def __init__(self, net, lr):
        self.net = net
        self.optimizer = torch.optim.RMSprop(self.net.parameters(), lr=lr)

    def compute_gradients(self, input_ids, y):
        loss = torch.nn.functional.mse_loss(self.net(input_ids), y)
        loss.backward()
        return loss

    def apply_gradients(self):
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), max_norm=1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def learn(self, loader):
        for input_ids, y in loader:
            self.compute_gradients(input_ids, y)
            self.apply_gradients()
