import torch
import torch.nn.functional as F


def fit(model, loader, accumulate=4):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    model.train()
    for i, (input_ids, y) in enumerate(loader):
        loss = F.cross_entropy(model(input_ids), y) / accumulate
        loss.backward()
        if (i + 1) % accumulate == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
