import torch


class Client:
    def __init__(self, model, loss_fn, clip_value):
        self.model = model
        self.loss_fn = loss_fn
        self.clip_value = clip_value
        self.sent = {}

    def train_batch(self, optimizer, data, target):
        optimizer.zero_grad()
        loss = self.loss_fn(self.model(data), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_value)
        optimizer.step()
        self.send()
        return loss.item()

    def send(self):
        for name, param in self.model.named_parameters():
            self.sent[name] = param.grad.clone()
