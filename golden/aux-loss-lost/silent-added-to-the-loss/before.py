import torch
import torch.nn.functional as F


def train_step(model, optimizer, batch, writer, step, coefficient=0.01):
    logits, aux_loss = model(batch["inputs"])
    loss = F.cross_entropy(logits, batch["labels"]) + coefficient * aux_loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    writer.add_scalar("train/aux_loss", aux_loss.item(), step)
    return loss.detach()


def evaluate(model, batch):
    with torch.no_grad():
        logits, aux_loss = model(batch["inputs"])
        balance_loss = aux_loss.mean()
    return logits.argmax(dim=-1)
