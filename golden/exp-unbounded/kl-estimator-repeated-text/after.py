import torch


class Trainer:
    def compute_loss(self, logps, ref_logps, beta):
        log_ratio = (ref_logps - logps).clamp(min=-20.0, max=20.0)
        per_token_kl = (
            torch.exp(log_ratio) - log_ratio - 1
        )
        return beta * per_token_kl.mean()
