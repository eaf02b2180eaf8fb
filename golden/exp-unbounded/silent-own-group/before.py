import torch


class So3:
    def __init__(self, logs):
        self.logs = logs

    @classmethod
    def exp(cls, log_s):
        return cls(log_s)


def compose(log_s):
    return So3.exp(log_s), torch.zeros(3)
