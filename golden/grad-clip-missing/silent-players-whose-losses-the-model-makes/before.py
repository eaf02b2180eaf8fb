import torch


class CoupledTrainer:
    def __init__(self, model, loader, lr):
        self.model = model
        self.loader = loader
        self.generator_optimizer = torch.optim.Adam(model.generator.parameters(), lr=lr)
        self.discriminator_optimizer = torch.optim.Adam(model.discriminator.parameters(), lr=lr)

    def _optimizers_step(self, output):
        generator_loss = output.generator_loss
        discriminator_loss = output.discriminator_loss
        if output.update_generator:
            self.generator_optimizer.zero_grad()
            generator_loss.backward(retain_graph=True)
        if output.update_discriminator:
            self.discriminator_optimizer.zero_grad()
            discriminator_loss.backward()
        if output.update_generator:
            self.generator_optimizer.step()
        if output.update_discriminator:
            self.discriminator_optimizer.step()

    def train(self, epochs):
        for _ in range(epochs):
            for batch in self.loader:
                self._optimizers_step(self.model(batch))
