import torch


class DepthImageProcessor:
    def post_process(self, depth):
        return (depth - depth.min()) / (depth.max() - depth.min())
