import torch


def stylize(content, features, style_loss, steps=300):
    image = content.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = style_loss(features(image))
        loss.backward()
        optimizer.step()
    return image.detach()
