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
        torch.nn.init.normal_(self.kernel, std=(self.kernel.size(0) * self.kernel.size(1)) ** -0.5)
        self.bias = torch.nn.Parameter(torch.Tensor(filters))
        torch.nn.init.zeros_(self.bias)

    def forward(self, x):
        return torch.conv_tbc(x.contiguous(), self.kernel, self.bias, self.padding)
