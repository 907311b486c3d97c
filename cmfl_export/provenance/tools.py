"""The programs that texts of a file name: those that generate pictures, and those that edit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .statements import Statement

# Fields that name a program or a service. In others a name may mean anything.
_TOOL_FIELDS = frozenset(
    {
        *(
            "Software",
            "CreatorTool",
            "AISystemUsed",
            "softwareAgent",
            "Credit",
            "OriginatingProgram",
            "Source",
        ),
        *("Make", "claim_generator", "Author", "Creator"),
    }
)

# What generators and their services call themselves. Sources: texts of their own files, and IPTC's guide on
# generated pictures ("Made with Google AI" is a Credit).
_GENERATORS = {
    "Midjourney": r"midjourney",
    "DALL-E": r"dall[\W_]?e\b",
    "OpenAI": r"openai|chatgpt|\bgpt-?(4o|image)",
    "Adobe Firefly": r"\bfirefly\b",
    "Google AI": r"made with google ai|\bimagen\b|\bgemini\b",
    "Stable Diffusion": r"stable.?diffusion|stability ?ai|dreamstudio|\bsdxl\b",
    "FLUX": r"black.?forest.?labs|\bflux(\.1|\.2)?[- ](schnell|dev|pro|kontext)",
    "Microsoft Designer": r"bing image creator|microsoft designer|image creator from designer",
    "Meta AI": r"\bmeta ai\b|imagined with ai|made with meta",
    "ComfyUI": r"comfyui",
    "InvokeAI": r"invokeai",
    "NovelAI": r"novelai",
    "Fooocus": r"fooocus",
    "Draw Things": r"draw things",
    "Leonardo.Ai": r"leonardo\.?ai",
    "Ideogram": r"ideogram",
    "Recraft": r"recraft",
    "Krea": r"\bkrea\b",
    "Grok": r"\bgrok\b|\bxai\b",
    "Runway": r"\brunway(ml)?\b",
    "NightCafe": r"nightcafe",
    "StyleGAN": r"stylegan",
}

_EDITORS = {
    "Adobe Photoshop": r"photoshop",
    "Adobe Lightroom": r"lightroom",
    "GIMP": r"\bgimp\b",
    "Affinity": r"affinity (photo|designer)?",
    "Capture One": r"capture one",
    "darktable": r"darktable",
    "RawTherapee": r"rawtherapee",
    "Luminar": r"luminar",
    "Topaz": r"topaz|gigapixel",
    "Pixelmator": r"pixelmator",
    "Paint.NET": r"paint\.net",
    "PaintShop": r"paint ?shop",
    "Snapseed": r"snapseed",
    "PicsArt": r"picsart",
    "VSCO": r"\bvsco\b",
    "Meitu": r"meitu|beautyplus",
    "FaceApp": r"faceapp",
    "Facetune": r"facetune",
    "Remini": r"\bremini\b",
    "Canva": r"\bcanva\b",
    "Picasa": r"picasa",
    "ImageMagick": r"imagemagick",
}

# The settings of a picture, as the Stable Diffusion web UI and many others write them.
_SETTINGS = re.compile(r"\bSteps: \d+, .*\b(Sampler|CFG scale|Seed): ", re.DOTALL)
_NODES = re.compile(r'"class_type"\s*:|"nodes"\s*:\s*\[')
_MIDJOURNEY_JOB = re.compile(r"\bJob ID: [0-9a-f]{8}-[0-9a-f]{4}-")
# (field of a PNG text, what it must contain, the program)
_PNG_FIELDS = (
    ("workflow", _NODES, "ComfyUI"),
    ("prompt", _NODES, "ComfyUI"),
    ("parameters", _SETTINGS, "Stable Diffusion web UI"),
    ("invokeai_metadata", None, "InvokeAI"),
    ("sd-metadata", None, "InvokeAI"),
    ("Dream", None, "InvokeAI"),
    ("fooocus_scheme", None, "Fooocus"),
)


def generators(statements: Iterable[Statement]) -> Iterator[tuple[str, Statement]]:
    """Yields (name, statement) for each statement that names a generator or has a generator's settings."""
    for statement in statements:
        name = _by_form(statement) or (
            _named(_GENERATORS, statement.text) if statement.field in _TOOL_FIELDS else ""
        )
        if name:
            yield name, statement


def editors(statements: Iterable[Statement]) -> Iterator[tuple[str, Statement]]:
    """Yields (name, statement) for each statement that names an editing program."""
    for statement in statements:
        if statement.where == "Photoshop":
            yield "Adobe Photoshop", statement
        elif statement.field in _TOOL_FIELDS and (name := _named(_EDITORS, statement.text)):
            yield name, statement


def _by_form(statement: Statement) -> str:
    """The generator that writes texts of this form; "" if none is known."""
    field, text = statement.field, statement.text
    if statement.where == "PNG text":
        for name, needed, program in _PNG_FIELDS:
            if field == name and (needed is None or needed.search(text)):
                return program
    if field in ("UserComment", "comment", "ImageDescription") and _SETTINGS.search(text):
        return "Stable Diffusion web UI"
    if field in ("Make", "Model", "ImageDescription") and text.lower().startswith(("workflow:", "prompt:")):
        # Where a WebP has no place for texts, ComfyUI takes these fields of EXIF.
        return "ComfyUI" if _NODES.search(text) else ""
    if field in ("Description", "description", "ImageDescription") and _MIDJOURNEY_JOB.search(text):
        return "Midjourney"
    return ""


def _named(names: dict[str, str], text: str) -> str:
    return next((name for name, form in names.items() if re.search(form, text, re.IGNORECASE)), "")
