import torch
import torch.nn.functional as F
from torch import nn


class PriorLoss(nn.Module):
    def __init__(self, generator, prior, temperature, unknown):
        super().__init__()
        self.generator = generator
        self.prior = prior
        self.temperature = temperature
        self.unknown = unknown

    def flat(self, x):
        return x.view(-1, x.size(2))

    def loss_to_translation_model(self, output, engine, tokens):
        scores = F.log_softmax(self.generator(self.flat(output)) / self.temperature, dim=-1)
        given = torch.as_tensor(engine.forward_batch(tokens), device=scores.device)
        given = self.flat(given) / self.temperature
        target = F.log_softmax(given.to(torch.float32), dim=-1)
        target[:, self.unknown] = -50
        return F.kl_div(scores, target, reduction="batchmean", log_target=True)

    def loss_to_module(self, output, tokens):
        scores = F.log_softmax(self.generator(self.flat(output)) / self.temperature, dim=-1)
        given = self.prior(self.flat(tokens)).detach().clone() / self.temperature
        target = F.log_softmax(given.to(torch.float32), dim=-1)
        target[:, self.unknown] -= 20
        return F.kl_div(scores, target, reduction="batchmean", log_target=True)
