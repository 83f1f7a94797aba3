"""
The networks that the sandbox never fetches images from, or only if `--fetch private` is given.

Sources: the IANA registries of special-purpose IPv4 and IPv6 addresses, and the addresses at which
clouds publish metadata and credentials.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Literal, get_args

Reach = Literal["none", "public", "private"]
"""No address; the internet; the internet and private networks. None includes loopback."""

REACHES: tuple[Reach, ...] = get_args(Reach)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that `public` does not reach, and why."""

    network: IPv4Network | IPv6Network
    reason: str
    is_private: bool = False
    """Whether `private` reaches it."""


def _refused(network: str, reason: str) -> Network:
    return Network(ip_network(network), reason)


def _private(network: str, reason: str) -> Network:
    return Network(ip_network(network), reason, is_private=True)


_LOOPBACK = "this machine; --fetch-loopback-port opens a port of it"

NETWORKS = (
    _refused("0.0.0.0/8", "unspecified: Linux connects to this machine"),
    _refused("127.0.0.0/8", _LOOPBACK),
    _refused("169.254.0.0/16", "link-local: clouds publish credentials here"),
    _refused("168.63.129.16/32", "Azure's virtual machine agent"),
    _refused("192.0.0.0/24", "protocol assignments: Oracle's cloud metadata"),
    _refused("100.64.0.0/10", "shared by carriers: Alibaba's cloud metadata"),
    _private("10.0.0.0/8", "a private network"),
    _private("172.16.0.0/12", "a private network"),
    _private("192.168.0.0/16", "a private network"),
    _refused("192.88.99.0/24", "6to4 relays lead to any IPv4 address"),
    _refused("198.18.0.0/15", "benchmarks"),
    _refused("192.0.2.0/24", "documentation"),
    _refused("198.51.100.0/24", "documentation"),
    _refused("203.0.113.0/24", "documentation"),
    _refused("224.0.0.0/4", "multicast"),
    _refused("255.255.255.255/32", "broadcast"),
    _refused("240.0.0.0/4", "reserved"),
    _refused("::/128", "unspecified: Linux connects to this machine"),
    _refused("::1/128", _LOOPBACK),
    _refused("::/96", "IPv4-compatible: contains an IPv4 address"),
    _refused("64:ff9b::/96", "NAT64 leads to any IPv4 address"),
    _refused("64:ff9b:1::/48", "local NAT64 leads to any IPv4 address"),
    _refused("2002::/16", "6to4 leads to any IPv4 address"),
    _refused("2001::/32", "Teredo leads to any IPv4 address"),
    _refused("2001::/23", "protocol assignments"),
    _refused("2001:db8::/32", "documentation"),
    _refused("3fff::/20", "documentation"),
    _refused("fd00:ec2::/32", "AWS's metadata and credentials"),
    _refused("fd20:ce::/32", "Google's cloud metadata"),
    _private("fc00::/7", "a private network"),
    _refused("fe80::/10", "link-local"),
    _refused("fec0::/10", "site-local, obsolete"),
    _refused("ff00::/8", "multicast"),
    _refused("::/3", "no global unicast address"),
    _refused("4000::/2", "no global unicast address"),
    _refused("8000::/1", "no global unicast address"),
)
"""The first match counts. What IANA has not given out as global unicast IPv6 is refused, too."""


def refusal(
    address: str, port: int, reach: Reach, loopback_ports: Collection[int]
) -> str | None:
    """
    Return why an image may not be fetched from this address and port; None if it may.

    An IPv4-mapped IPv6 address counts as its IPv4 address.

    Raises:
        ValueError: *address* is no literal IP address.
    """
    ip = _judged(address)
    if ip.is_loopback and port in loopback_ports:
        return None
    found = next((each for each in NETWORKS if ip in each.network), None)
    if found is not None and not (found.is_private and reach == "private"):
        option = f"--fetch {reach} does" if found.is_private else "--fetch does"
        return f"{found.reason}; {option} not allow it"
    return f"--fetch {reach} does not allow it" if reach == "none" else None


def _judged(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return mapped or ip
