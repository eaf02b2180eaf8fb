import torch


class Translator:
    def __init__(self, generator, lr):
        self.generator = generator
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=lr)

    def forward(self, input_ids):
        self.fake = self.generator(input_ids)

    def backward_generator(self, y):
        self.loss = (self.fake - y).abs().mean()
        self.loss.backward()

    def optimize_parameters(self, input_ids, y):
        self.forward(input_ids)
        self.optimizer.zero_grad()
        self.backward_generator(y)
        self.optimizer.step()
