import torch


class Adamish(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                update = p.grad.half()
                second = update.square().sqrt() + 1e-8
                p.addcdiv_(update, second, value=-group["lr"])
