import torch


def relative(pose, point):
    return pose.inverse() @ point
