import torch
import torch.nn.functional as F


def preference_step(model, batch, coefficient):
    """The loss is our own, so the model's auxiliary loss is not in it yet."""
    outputs = model(input_ids=batch["input_ids"], output_router_logits=True)
    log_probs = F.log_softmax(outputs.logits, dim=-1)
    loss = -log_probs.gather(-1, batch["labels"].unsqueeze(-1)).mean()
    loss = loss + coefficient * outputs.aux_loss
    loss.backward()
    return loss.detach()


def supervised_step(model, batch, coefficient):
    outputs = model(input_ids=batch["input_ids"])
    loss = F.cross_entropy(outputs.logits.flatten(0, 1), batch["labels"].flatten())
    total = loss + coefficient * outputs.aux_loss
    total.backward()
    return torch.stack([loss.detach(), total.detach()])
