"""Image files that say something about their source, made here."""

from __future__ import annotations

import datetime
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import picture

NEWSCODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = f"{NEWSCODES}trainedAlgorithmicMedia"
SETTINGS = "a face\nNegative prompt: hat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
NODES = '{"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}'


def saved(format: str = "JPEG", **options: Any) -> bytes:
    """A picture of 48 x 48 pixels as a file."""
    stream = io.BytesIO()
    Image.fromarray(picture(0, 48)).save(stream, format, **options)
    return stream.getvalue()


def write_three(folder: Path) -> None:
    """Writes a.png with settings of a generator, b.jpg of a camera, and an empty c.jpg."""
    folder.mkdir()
    (folder / "a.png").write_bytes(png(parameters=SETTINGS))
    (folder / "b.jpg").write_bytes(saved(exif=exif(make="Canon", model="Canon EOS 5D")))
    (folder / "c.jpg").write_bytes(b"")


def png(**texts: str) -> bytes:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword.replace("_xmp", "XML:com.adobe.xmp"), text)
    return saved("PNG", pnginfo=info)


def exif(user_comment: bytes = b"", **fields: str) -> Image.Exif:
    tags = {"description": 0x010E, "make": 0x010F, "model": 0x0110, "software": 0x0131}
    found = Image.Exif()
    for name, text in fields.items():
        found[tags[name]] = text
    if user_comment:
        found.get_ifd(0x8769)[0x9286] = user_comment
    return found


def xmp(attributes: str = "", elements: str = "") -> str:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
        'xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" '
        f'{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


@cache
def certificates() -> tuple[bytes, bytes, bytes]:
    """A root, the chain of a signer under it, and the signer's key, all in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signing: ec.EllipticCurvePrivateKey
    ) -> bytes:
        is_root = name == issuer
        subjects = [
            x509.Name(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, text),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Press"),
                ]
            )
            for text in (name, issuer)
        ]
        usage = dict.fromkeys(
            (
                *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                *("crl_sign", "encipher_only", "decipher_only"),
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subjects[0])
            .issuer_name(subjects[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, **usage), critical=True
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if not is_root:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=True)
        return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certificate("Root", root_key, "Root", root_key)
    chain = certificate("Signer", key, "Root", root_key) + root
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return root, chain, private


def signed(
    data: bytes, mime: str = "image/jpeg", source_type: str = TRAINED, agent: str = "Imagen", **more: Any
) -> bytes:
    """The file with a C2PA manifest that says how its picture was made."""
    import c2pa

    _, chain, key = certificates()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
    created = {"action": "c2pa.created", "digitalSourceType": source_type, "softwareAgent": {"name": agent}}
    manifest = {
        "claim_generator_info": [{"name": "Example Studio", "version": "1"}],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created, *more.pop("actions", [])]}},
        ],
        **more,
    }
    target = io.BytesIO()
    c2pa.Builder(json.dumps(manifest)).sign(signer, mime, io.BytesIO(data), target)
    return target.getvalue()
