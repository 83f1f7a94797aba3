"""The networks that the sandbox refuses to fetch from."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest

from hangtag_sandbox.networks import NETWORKS, REACHES, Reach, refusal

LOCAL = "this machine; --fetch-loopback-port"
REFUSED = {
    "0.0.0.0/8": ("0.0.0.0", "0.255.255.255"),  # noqa: S104  no listening socket
    "127.0.0.0/8": ("127.0.0.1", "127.255.255.255"),
    "100.64.0.0/10": ("100.64.0.1", "100.100.100.200", "100.127.255.255"),
    "168.63.129.16/32": ("168.63.129.16",),
    "169.254.0.0/16": ("169.254.0.0", "169.254.169.254", "169.254.170.2"),
    "192.0.0.0/24": ("192.0.0.0", "192.0.0.9", "192.0.0.192", "192.0.0.255"),
    "192.0.2.0/24": ("192.0.2.1",),
    "192.88.99.0/24": ("192.88.99.1",),
    "198.18.0.0/15": ("198.18.0.1", "198.19.255.255"),
    "198.51.100.0/24": ("198.51.100.1",),
    "203.0.113.0/24": ("203.0.113.1",),
    "224.0.0.0/4": ("224.0.0.1", "239.255.255.255"),
    "240.0.0.0/4": ("240.0.0.1", "255.255.255.254"),
    "255.255.255.255/32": ("255.255.255.255",),
    "::/128": ("::",),
    "::1/128": ("::1",),
    "::/96": ("::127.0.0.1", "::8.8.8.8", "::a9fe:a9fe"),
    "::/3": ("100::1", "::ffff:0:127.0.0.1"),
    "64:ff9b::/96": ("64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8"),
    "64:ff9b:1::/48": ("64:ff9b:1::1", "64:ff9b:1:ffff::"),
    "2001::/32": ("2001::1", "2001:0:ffff::"),
    "2001::/23": ("2001:2::1", "2001:20::1"),
    "2001:db8::/32": ("2001:db8::1",),
    "2002::/16": ("2002:7f00:1::", "2002:808:808::1"),
    "3fff::/20": ("3fff::1",),
    "4000::/2": ("4000::1", "5f00::1"),
    "8000::/1": ("8000::1", "fe00::1"),
    "fd00:ec2::/32": ("fd00:ec2::254",),
    "fd20:ce::/32": ("fd20:ce::254",),
    "fe80::/10": ("fe80::1", "fe80::1%eth0", "febf::1"),
    "fec0::/10": ("fec0::1", "feff::1"),
    "ff00::/8": ("ff02::1",),
}
PRIVATE = {
    "10.0.0.0/8": ("10.0.0.1", "10.255.255.255"),
    "172.16.0.0/12": ("172.16.0.1", "172.31.255.255"),
    "192.168.0.0/16": ("192.168.0.1",),
    "fc00::/7": ("fc00::1", "fd00::1", "fdff::1"),
}
PUBLIC = (
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2600::1",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
)


def examples(table: dict[str, tuple[str, ...]]) -> list[str]:
    """All addresses of a table."""
    return [address for addresses in table.values() for address in addresses]


def test_every_refused_network_has_examples() -> None:
    """A new row of the table needs its test."""
    rows = {str(row.network): row.is_private for row in NETWORKS}

    assert rows == dict.fromkeys(REFUSED, False) | dict.fromkeys(PRIVATE, True)
    assert all(row.reason for row in NETWORKS)


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("address", examples(REFUSED))
def test_a_special_address_is_always_refused(address: str, reach: Reach) -> None:
    """Its IPv4-mapped spelling is refused, too, and naming a loopback port opens no other port."""
    spellings = [address]
    if ":" not in address:
        spellings.append(f"::ffff:{address}")

    for each in spellings:
        assert refusal(each, 80, reach, {8000})


@pytest.mark.parametrize("address", examples(PRIVATE))
def test_a_private_address_is_refused_unless_asked_for(address: str) -> None:
    """The internet does not include them."""
    assert "private network" in (refusal(address, 80, "public", {80}) or "")
    assert refusal(address, 80, "none", {80})
    assert refusal(address, 80, "private", ()) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_refused_only_by_default(address: str) -> None:
    """Neighbours of refused networks are public."""
    assert refusal(address, 80, "none", {80}) == "--fetch none does not allow it"
    assert refusal(address, 80, "public", ()) is None
    assert refusal(address, 80, "private", ()) is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
)
@pytest.mark.parametrize("reach", REACHES)
def test_loopback_is_reached_at_the_named_ports_alone(
    address: str, reach: Reach
) -> None:
    """Other services of this machine stay out of reach."""
    assert refusal(address, 8000, reach, {8000}) is None
    assert LOCAL in (refusal(address, 8001, reach, {8000}) or "")
    assert LOCAL in (refusal(address, 8000, reach, ()) or "")


def test_only_global_unicast_is_public_in_ipv6() -> None:
    """What IANA assigns later is refused until someone decides."""
    refused = [row.network for row in NETWORKS if isinstance(row.network, IPv6Network)]
    halves = [IPv6Network("::/0")]
    while halves:
        network = halves.pop()
        if any(network.subnet_of(each) for each in refused):
            continue
        if network == IPv6Network("2000::/3"):
            continue
        assert network.prefixlen < 3, network
        halves += network.subnets()
