import torch
import torch.nn.functional as F


def train_step(model, optimizer: torch.optim.Optimizer, micro_batches):
    optimizer.zero_grad()
    for input_ids, labels in micro_batches:
        logits = model(input_ids)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten()) / len(micro_batches)
        loss.backward()
    optimizer.step()
