import torch
import torch.nn.functional as F


def accumulate(model, batches, ignore_index):
    total_loss = 0.0
    num_tokens = 0
    for tokens, labels in batches:
        logits = model(tokens)
        total_loss += F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
        num_tokens += labels.ne(ignore_index).sum()
    loss = total_loss / max(num_tokens, 1)
    loss.backward()
    return loss
