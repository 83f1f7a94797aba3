"""Certificates for servers on loopback."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from ipaddress import IPv4Address
from pathlib import Path
from socketserver import TCPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate_file, key_file = folder / "server.crt", folder / "server.key"
    certificate_file.write_bytes(signed.public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def speak_tls(server: TCPServer, folder: Path) -> Path:
    """Let *server* speak TLS from now on; its self-signed certificate."""
    certificate_file, key_file = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return certificate_file


def subject_hash(certificate_file: Path) -> str:
    """The hash by which OpenSSL finds the file of a subject, here of one part in small letters."""
    subject = x509.load_pem_x509_certificate(certificate_file.read_bytes()).subject
    parts = subject.public_bytes()[2:]  # without the head of the sequence
    digest = hashlib.sha1(parts, usedforsecurity=False).digest()
    return digest[3::-1].hex()
