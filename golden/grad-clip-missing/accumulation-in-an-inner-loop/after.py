import torch
import torch.nn.functional as F


def train_step(model, optimizer: torch.optim.Optimizer, micro_batches):
    optimizer.zero_grad()
    for input_ids, labels in micro_batches:
        logits = model(input_ids)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten()) / len(micro_batches)
        loss.backward()
    torch.nn.utils.clip_grad_norm_(
        [p for group in optimizer.param_groups for p in group["params"]], max_norm=1.0
    )
    optimizer.step()
