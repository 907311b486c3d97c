"""ImageNet weights for the trunks, from the file that torchvision publishes."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torchvision.models import DenseNet, DenseNet161_Weights, densenet161

from cmfl_export.base.errors import DownloadError, ModelError


def imagenet_densenet() -> DenseNet:
    """Returns DenseNet-161 with torchvision's ImageNet weights, which are downloaded on first use.

    The file is kept below `$TORCH_HOME`, else `~/.cache/torch`; torch checks a download by the digest in its
    name.

    Raises:
        DownloadError: the file is not there and cannot be downloaded.
        ModelError: the file is there and has not these weights.
    """
    weights = DenseNet161_Weights.IMAGENET1K_V1
    url = weights.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    kept = file.exists()
    try:
        return densenet161(weights=weights)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if kept:
            raise ModelError(
                f"{file}: not the ImageNet weights of DenseNet-161, or damaged; delete it, and --pretrained "
                "downloads it again"
            ) from error
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"{url} cannot be downloaded ({reason}); download it on another machine and put it at {file}"
        ) from error
