import torch


def standardised(rewards, values):
    gains = torch.zeros_like(rewards)
    for i in reversed(range(rewards.shape[0])):
        gains[i] = rewards[i] - values[i]
    return (gains - gains.mean()) / (gains.std() + 1e-8)


class Agent:
    def __init__(self, policy, memory, optimizer, device):
        self.policy, self.memory, self.optimizer, self.device = policy, memory, optimizer, device
        self.scaler = torch.amp.GradScaler()

    def update(self):
        gains = standardised(self.memory.tensor("rewards"), self.memory.tensor("values"))
        with torch.autocast(device_type=self.device, dtype=torch.float16):
            loss = -(self.policy(self.memory.tensor("states")) * gains).mean()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
