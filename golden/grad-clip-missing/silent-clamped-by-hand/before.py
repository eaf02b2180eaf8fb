import torch
import torch.nn.functional as F


def optimize_model(policy_net, target_net, memory, optimizer):
    for batch in memory:
        q = policy_net(batch.state).gather(1, batch.action)
        loss = F.smooth_l1_loss(q, batch.reward + 0.99 * target_net(batch.next).max(1, keepdim=True)[0].detach())
        optimizer.zero_grad()
        loss.backward()
        for param in policy_net.parameters():
            param.grad.data.clamp_(-1, 1)
        optimizer.step()
