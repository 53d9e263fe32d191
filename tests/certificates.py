"""Certificates of our own, made with openssl: a root, and leaves that it signs."""

import ssl
import subprocess


def certificate(folder, name, *, subject_alt, issuer=None):
    """Make a key and a certificate in one PEM file, signed by itself or by `issuer`."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    curve = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", *curve, "-subj", f"/CN={name}", "-keyout", key, "-out", cert]
    if subject_alt:
        command += ["-addext", f"subjectAltName={subject_alt}", "-addext", "basicConstraints=critical,CA:FALSE"]
    if issuer:
        command += ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return cert, key


def expired(folder, name, *, subject_alt, issuer):
    """Make a leaf like `certificate` does, but one whose time was over yesterday."""
    key, asked, cert = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    extension = folder / f"{name}.ext"
    extension.write_text(f"subjectAltName={subject_alt}\nbasicConstraints=critical,CA:FALSE\n", encoding="ascii")
    curve = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    signing = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "-1"]
    for command in (
        ["openssl", "req", "-new", "-newkey", *curve, "-keyout", key, "-out", asked],
        ["openssl", "x509", "-req", "-in", asked, *signing, "-extfile", extension, "-out", cert],
    ):
        subprocess.run(command, check=True, capture_output=True, cwd=folder)


def loopback(folder):
    """Make `root.pem`, and `leaf` for 127.0.0.1, in `folder`."""
    certificate(folder, "root", subject_alt=None)
    certificate(folder, "leaf", subject_alt="IP:127.0.0.1", issuer="root")


def server_context(folder, name="leaf"):
    """Return what a server needs to show the certificate `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context
