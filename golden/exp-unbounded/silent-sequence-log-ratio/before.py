import torch
import torch.nn.functional as F


class Trainer:
    def compute_loss(self, chosen_logps, ref_chosen_logps, rejected_logratio, beta):
        chosen_logratio = chosen_logps - ref_chosen_logps
        weight = torch.exp(chosen_logratio)
        return -F.logsigmoid(beta * (chosen_logratio - rejected_logratio)) * weight.detach()
