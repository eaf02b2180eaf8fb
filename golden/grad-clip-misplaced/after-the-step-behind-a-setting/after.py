import torch


class Client:
    def __init__(self, model, config):
        self.model = model
        self.config = config
        self.criterion = torch.nn.CrossEntropyLoss()

    def train_batch(self, optimizer, data, target):
        optimizer.zero_grad()
        output = self.model(data)
        loss = self.criterion(output, target)
        loss.backward()
        if self.config.clip_grad:
            assert self.config.clip_value, "a bound must be given"
            torch.nn.utils.clip_grad_norm_(
                self.model.parameters(),
                self.config.clip_value,
                norm_type=self.config.clip_norm,
            )
        optimizer.step()
        return loss.item(), output.detach()
