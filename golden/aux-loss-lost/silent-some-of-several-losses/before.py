import torch


def train(detector, loader, optimizer):
    """The detector without experts: its auxiliary loss is None."""
    detector.train()
    for images, boxes in loader:
        optimizer.zero_grad()
        class_loss, box_loss, aux_loss = detector(images, boxes)
        loss = class_loss.mean() + box_loss.mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 0.1)
        optimizer.step()
