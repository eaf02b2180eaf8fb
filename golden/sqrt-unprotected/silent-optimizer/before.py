import torch


class Rms(torch.optim.Optimizer):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.div_(p.grad.pow(2).mean().sqrt())
