import torch
import torch.nn.functional as F


def fit(net, batches, lr):
    opt = torch.optim.AdamW(net.parameters(), lr=lr)
    scaler = torch.amp.GradScaler("cuda")
    for epoch in range(3):
        for images, labels in batches:
            opt.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.float16):
                loss = F.cross_entropy(net(images), labels)
            scaler.scale(loss).backward()
            scaler.step(opt)  # skips when a gradient is inf
        print(epoch, loss.item())
