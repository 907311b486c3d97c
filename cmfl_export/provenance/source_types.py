"""The digital source types of IPTC, which XMP and Content Credentials use."""

from __future__ import annotations

# https://cv.iptc.org/newscodes/digitalsourcetype/, with the retired ones, which older files have.
TERMS = {
    "algorithmicMedia": "made by an algorithm without training data",
    "algorithmicallyEnhanced": "a capture, enhanced by an algorithm",
    "composite": "made of several sources",
    "compositeCapture": "made of several captures",
    "compositeSynthetic": "made of several sources, one of them synthetic",
    "compositeWithTrainedAlgorithmicMedia": "edited with, or in part made by, a trained model",
    "computationalCapture": "several captures, joined by the camera",
    "dataDrivenMedia": "made from data",
    "digitalArt": "drawn by a person with digital tools",
    "digitalCapture": "taken by a camera",
    "digitalCreation": "made by a person with digital tools",
    "humanEdits": "edited by a person without trained models",
    "minorHumanEdits": "edited a little by a person",
    "multiFrameComputationalCapture": "several captures, joined by the camera",
    "negativeFilm": "digitised from a negative",
    "positiveFilm": "digitised from a slide",
    "print": "digitised from a print",
    "screenCapture": "taken from a screen",
    "softwareImage": "made by a program",
    "trainedAlgorithmicMedia": "made by a trained model",
    "virtualRecording": "recorded in a virtual world",
}
_ADDRESS = "cv.iptc.org/newscodes/digitalsourcetype/"


def term_of(text: str) -> str:
    """The term of an address or of the term itself; "" if IPTC has none such."""
    _, found, term = text.strip().partition(_ADDRESS)
    term = term if found else text.strip().rpartition("/")[2]
    return term if term in TERMS else ""
