"""The augmentation: resize, blur, JPEG, crop, flip (METHOD: "Augmentation"; Wang et al., CVPR 2020).

`broad` adds what pictures meet on their way besides: colour, resizing and noise.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from cmfl_export.images import (
    EXTREME_RATIO,
    SIZE,
    UNALIGNED_SIZE,
    add_noise,
    fit,
    recompress,
    resize_and_back,
    resize_shorter,
)

MAX_SIGMA = 2.0
JPEG_QUALITIES = (60, 70, 80, 90, 100)
MAX_SATURATION = 1.5
MIN_FACTOR = 0.5  # of resizing
MAX_NOISE = 5.0  # standard deviation in grey levels of 255
SENT_FACTORS = (0.45, 0.95)  # of resizing, on the way of a picture from one program to the next
SENT_QUALITIES = (50, 95)  # of JPEG and WebP on that way
KERNELS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def augment(
    image: Image.Image,
    rng: np.random.Generator,
    *,
    aligned: bool,
    probability: float,
    crop: int = SIZE,
    broad: bool = False,
    resending: float = 0.0,
    train: bool = True,
) -> np.ndarray:
    """One sample of an RGB image: to its size, blur and JPEG by chance, then crop and flip by chance.

    Args:
        image: RGB of any size.
        rng: the only source of randomness.
        aligned: the image is a face crop: no random crop.
        probability: of the blur, and again of each other degradation.
        broad: more than the blur and the JPEG compression, see `degrade`.
        resending: probability that the image is sent once more after these, see `resend`.
        crop: with `train`, a random square of this size is cut out at the end.
        train: False for an augmented dev split: the centre crop, and no flip.

    Returns:
        uint8 [crop, crop, 3], or [224, 224, 3] without `train`.
    """
    # Size comes first, so that a blur or a quality means the same for photographs of any size.
    image = fit(image, aligned=True) if aligned else resize_shorter(_not_extreme(image), UNALIGNED_SIZE)
    image = degrade(image, rng, probability, broad=broad)
    # Drawn only where it is asked for, so that runs without it stay as they were.
    if resending and rng.random() < resending:
        image = resend(image, rng)
    if not aligned:
        image = random_resized_crop(image, rng) if train else fit(image, aligned=False)
    if train and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if train and crop < SIZE:
        left, top = (int(place) for place in rng.integers(0, SIZE - crop + 1, 2))
        image = image.crop((left, top, left + crop, top + crop))
    return np.array(image)


def degrade(
    image: Image.Image, rng: np.random.Generator, probability: float, *, broad: bool = False
) -> Image.Image:
    """Gaussian blur with the given probability, then, independently, JPEG compression.

    `broad` adds, each with the same probability: before them another saturation, down to grey, and a resizing
    to a smaller size and back; between them noise.
    """
    if broad and rng.random() < probability:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.0, MAX_SATURATION))
    if broad and rng.random() < probability:
        image = resize_and_back(image, rng.uniform(MIN_FACTOR, 1.0), KERNELS[int(rng.integers(len(KERNELS)))])
    if rng.random() < probability:
        image = blur(image, rng.uniform(0.0, MAX_SIGMA))
    if broad and rng.random() < probability:
        image = add_noise(image, rng, rng.uniform(0.0, MAX_NOISE))
    if rng.random() < probability:
        image = recompress(image, int(rng.choice(JPEG_QUALITIES)))
    return image


def resend(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What sending does to a picture, one of three: JPEG, WebP, or resizing to a smaller size and back."""
    if (kind := int(rng.integers(3))) == 0:
        return resize_and_back(image, rng.uniform(*SENT_FACTORS), KERNELS[int(rng.integers(len(KERNELS)))])
    low, high = SENT_QUALITIES
    return recompress(image, int(rng.integers(low, high + 1)), ("JPEG", "WEBP")[kind - 1])


def blur(image: Image.Image, sigma: float) -> Image.Image:
    """Gaussian blur of each channel, as scipy.ndimage.gaussian_filter does it on uint8: the paper's."""
    from scipy.ndimage import gaussian_filter

    return Image.fromarray(gaussian_filter(np.asarray(image), sigma=(sigma, sigma, 0)))


def random_resized_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A region of 8 to 100 % of the area and aspect 3/4 to 4/3, to 224x224, as RandomResizedCrop takes it."""
    width, height = image.size
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1.0)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            break
    else:
        # No such region in a very long image: the centre, as near to these aspects as there is.
        w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - w) // 2, (height - h) // 2
    region = image.crop((left, top, left + w, top + h))
    return region.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def _not_extreme(image: Image.Image) -> Image.Image:
    """The middle of a very long picture: all of a strip of 1 x 10,000 would be 256 x 2,560,000."""
    width, height = image.size
    longest = EXTREME_RATIO * min(width, height)
    w, h = min(width, longest), min(height, longest)
    left, top = (width - w) // 2, (height - h) // 2
    return image if (w, h) == (width, height) else image.crop((left, top, left + w, top + h))
