import torch


class Trainer:
    def train_epoch(self, loader):
        running, seen = 0, 0
        for images, labels in loader:
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.float16):
                loss = self.criterion(self.model(images), labels)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            running = running + loss.detach() * images.size(0)
            seen += images.size(0)
        return (running / seen).item()
