# SPDX-License-Identifier: Apache-2.0
"""What a TLS server presents, and what stands in a folder of the agent."""
import pathlib

from harness import check, run


def field(cert, *options):
    """What openssl x509 says of a certificate (a file)."""
    return check(["openssl", "x509", "-in", cert, "-noout", *options]).out.strip()


def serial_of(cert):
    return field(cert, "-serial").removeprefix("serial=").lower()


def presented_serial(port, *options):
    """The serial of the leaf that a server on 127.0.0.1 shows to a new
    connection; "" when it shows none."""
    shown = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}",
                 *options])
    if "BEGIN CERTIFICATE" not in shown.out:
        return ""
    return check(["openssl", "x509", "-noout", "-serial"], stdin=shown.out
                 ).out.strip().removeprefix("serial=").lower()


def key_fits(folder):
    """True when key.pem belongs to cert.pem."""
    folder = pathlib.Path(folder)
    return check(["openssl", "pkey", "-in", folder / "key.pem", "-pubout"]).out \
        == field(folder / "cert.pem", "-pubkey") + "\n"
