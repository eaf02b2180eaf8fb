import torch
import torch.nn


class TimeConvolution(torch.nn.Module):
    """Convolution over an input of time x batch x channels."""

    def __init__(self, channels, filters, kernel_size, padding=0):
        super().__init__()
        self.padding = padding
        # kernel x in x out
        self.kernel = torch.nn.Parameter(
            torch.Tensor(kernel_size, channels, filters)
        )
        self.bias = torch.nn.Parameter(torch.Tensor(filters))

    def forward(self, x):
        return torch.conv_tbc(x.contiguous(), self.kernel, self.bias, self.padding)
