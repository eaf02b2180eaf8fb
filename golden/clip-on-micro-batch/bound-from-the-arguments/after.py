import torch


class Trainer:
    def train(self, args):
        for batch in self.loader:
            with self.accelerator.accumulate(self.model):
                loss = self.compute_loss(batch)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(
                        self.model.parameters(),
                        args.max_grad_norm,
                    )
                self.optimizer.step()
                self.optimizer.zero_grad()
