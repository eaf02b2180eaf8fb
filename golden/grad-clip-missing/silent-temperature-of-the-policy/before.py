import torch


class Temperature:
    def __init__(self, target, lr=3e-4):
        self.target = target
        self.log_alpha = torch.nn.ParameterList([torch.zeros(1)])
        self.alpha_optim = torch.optim.SGD(self.log_alpha.parameters(), lr=lr)

    def update(self, log_prob, rewards):
        for value in self.log_alpha:
            alpha_loss = -(value * (log_prob + self.target).detach()).mean()
            self.alpha_optim.zero_grad()
            alpha_loss.backward()
            self.alpha_optim.step()
