import torch
from torch.optim import Optimizer


class Adam(Optimizer):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                denom = state["exp_avg_sq"].sqrt() + 1e-8
                p.data.addcdiv_(state["exp_avg"], denom, value=-group["lr"])
