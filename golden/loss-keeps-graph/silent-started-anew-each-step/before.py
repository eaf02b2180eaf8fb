def train(model, loader, optimizer, criterion, every, log):
    running_loss = 0
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y) / every
        running_loss += loss
        loss.backward()
        if (i + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()
            log(running_loss.item())
            running_loss = 0
