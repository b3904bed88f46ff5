"""The judge of user-supplied URLs, against a corpus and against whole classes of spellings."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from halley.policy.urls import Address, Inline, Refusal, Target, UrlPolicy, follow, judge, judge_address, judge_answers

WIDE = UrlPolicy(plain_http=True, ports=None)
CASES = Path(__file__).parents[2] / "fixtures" / "urls" / "judged.txt"
ANSWERS = {
    "public.test": ["93.184.216.34"],
    "xn--bcher-kva.test": ["93.184.216.34", "2606:2800:220:1::1"],
    "inner.test": ["10.1.2.3"],
    "half.test": ["93.184.216.34", "fd00::1"],
}


def cases() -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in CASES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [(expected, json.loads(url[5:]) if url.startswith("json:") else url) for expected, url, _ in rows]


def outcome(url: str, allow: UrlPolicy, answers: Mapping[str, list[str]] = ANSWERS) -> tuple[Address, ...] | Inline | Refusal:
    """What a caller of the judge does: spell, resolve once, vet every answer."""
    verdict = judge(url, allow)
    match verdict:
        case Target(literal=False):
            return judge_answers(answers.get(verdict.host, []))
        case Target():
            return judge_answers([verdict.host])
        case _:
            return verdict


@pytest.mark.parametrize(("expected", "url"), cases())
def test_a_url_is_judged_as_the_fixture_says(expected: str, url: str) -> None:
    refused = isinstance(outcome(url, UrlPolicy()), Refusal), isinstance(outcome(url, WIDE), Refusal)
    assert refused == {"refused": (True, True), "widened": (True, False), "open": (False, False)}[expected]


def private_v4() -> st.SearchStrategy[ipaddress.IPv4Address]:
    closed = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"]
    return st.sampled_from(closed).flatmap(lambda network: st.ip_addresses(v=4, network=network))


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """The ways in which C libraries and browsers also write an IPv4 address."""
    number, (a, b, c, d) = int(address), address.packed
    return [
        str(number), hex(number), f"0{number:o}", str(number + 2**32), f"0X{number:08X}",
        f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:03d}.{b:03d}.{c:03d}.{d:03d}", f"{a}.{b}.{c}.{d}.", f"{a:#x}.{b}.0{c:o}.{d}", f"{a}。{b}。{c}。{d}", f"{a}%2e{b}%2e{c}%2e{d}",
        "".join(chr(0xFF10 + int(digit)) if digit.isdigit() else digit for digit in str(address)),
        "".join(chr(0x0660 + int(digit)) if digit.isdigit() else digit for digit in str(address)),
        "".join(chr(0x1D7CE + int(digit)) if digit.isdigit() else digit for digit in str(address)),
    ]  # fmt: skip


@given(private_v4())
def test_no_spelling_of_an_inner_ipv4_address_passes(address: ipaddress.IPv4Address) -> None:
    for host in [str(address), *spellings(address)]:
        assert isinstance(judge(f"http://{host}/", WIDE), Refusal), host


@given(st.ip_addresses(v=4))
def test_an_odd_spelling_passes_for_no_address_at_all(address: ipaddress.IPv4Address) -> None:
    for host in spellings(address):
        verdict = judge(f"http://{host}/", WIDE)
        assert isinstance(verdict, Refusal) or verdict == judge(f"http://{address}/", WIDE), host


@given(st.ip_addresses(v=4))
def test_every_embedding_of_ipv4_in_ipv6_is_refused(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    embeddings = [
        number,
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64FF9B << 96 | number,
        0x64FF9B0001 << 80 | number,
        0x2002 << 112 | number << 80 | 1,
        0x20010000 << 96 | (number ^ 0xFFFFFFFF),
        0x26064700 << 96 | 0x5EFE << 32 | number,
        0xFE80 << 112 | 0x2005EFE << 32 | number,
    ]
    for embedding in embeddings:
        spelled = ipaddress.IPv6Address(embedding)
        assert isinstance(judge_address(str(spelled)), Refusal), spelled
        assert isinstance(judge_address(spelled.exploded), Refusal), spelled
        assert isinstance(judge(f"http://[{spelled}]/", WIDE), Refusal), spelled


@given(st.ip_addresses(v=6))
def test_outside_of_global_unicast_no_ipv6_address_passes(address: ipaddress.IPv6Address) -> None:
    assume(int(address) >> 125 != 1)
    assert isinstance(judge_address(str(address)), Refusal)


@given(st.ip_addresses())
def test_what_passes_is_global_to_the_standard_library_too(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    verdict = judge_address(str(address))
    if isinstance(verdict, Address):
        assert ipaddress.ip_address(verdict.ip) == address
        assert address.is_global
        assert not (address.is_multicast or address.is_reserved or address.is_loopback)


@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    for url in (text, f"http://{text}", f"https://{text}.test/", f"https://public.test{text}", f"data:{text}", f"https://xn--{text}.test/"):
        verdict = judge(url, UrlPolicy(plain_http=True, ports=None, inline_bytes=100))
        if isinstance(verdict, Target):
            assert verdict.host.isascii() and verdict.path.isascii() and verdict.path.startswith("/")
            assert not set(verdict.path) & set(" \r\n\t#")


@given(st.sampled_from("\x00\t\n\r \x0b\x85\xa0\u2028\u200b\u202e\ufeff\\"), st.integers(0, 26))
def test_a_control_character_anywhere_refuses_the_url(character: str, place: int) -> None:
    url = "https://public.test/cat.png"
    assert isinstance(judge(url[:place] + character + url[place:]), Refusal)


@pytest.mark.parametrize(
    ("location", "refused"),
    [
        ("http://127.0.0.1/", True),
        ("//127.0.0.1/", True),
        ("//[::1]/", True),
        ("HTTP://LOCALHOST/", True),
        ("file:///etc/hostname", True),
        ("data:image/png;base64,iVBORw0KGgo=", True),
        ("http://public.test/", True),
        ("https://10.0.0.5/", True),
        ("\n//127.0.0.1/", True),
        ("/\\127.0.0.1/", True),
        ("/other.png", False),
        ("other.png", False),
        ("?page=2", False),
        ("//public.test/", False),
        ("https://public.test/cat.png", False),
    ],
)
def test_a_redirect_is_judged_like_a_url_and_keeps_https(location: str, refused: bool) -> None:
    base = judge("https://public.test/dir/cat.png", UrlPolicy(inline_bytes=100, plain_http=True))
    assert isinstance(base, Target)
    assert isinstance(follow(base, location, UrlPolicy(inline_bytes=100, plain_http=True)), Refusal) == refused


def test_a_relative_redirect_stays_on_the_host_and_port() -> None:
    base = judge("https://public.test:8443/dir/cat.png?x=/y/", WIDE)
    assert isinstance(base, Target)
    assert follow(base, "dog.png", WIDE) == Target("https", "public.test", 8443, "/dir/dog.png", literal=False)


def test_one_private_answer_refuses_the_name_wherever_it_stands() -> None:
    for answers in (["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "fd00::5"], []):
        assert isinstance(judge_answers(answers), Refusal)
    assert judge_answers(["8.8.8.8", "2620:FE:0:0::9"]) == (Address("8.8.8.8", 4), Address("2620:fe::9", 6))


def test_inline_content_needs_leave_a_known_type_and_its_cap() -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    small = UrlPolicy(inline_bytes=8)
    assert isinstance(judge(url), Refusal)
    assert judge(url, small) == Inline("image/png", "iVBORw0KGgo=")
    assert isinstance(judge(url, UrlPolicy(inline_bytes=7)), Refusal)
    for other in (
        "data:image/svg+xml;base64,AAAA",
        "data:text/html,<b>",
        "data:image/png,AAAA",
        "data:image/png;base64,AAA",
        "data:image/png;base64,A=AA",
    ):
        assert isinstance(judge(other, small), Refusal), other


def test_a_refusal_repeats_nothing_of_the_url() -> None:
    for url in (
        "http://canary:canary@public.test/",
        "https://canary canary/",
        "https://canary/",
        "canary://x",
        "https://public.test:canary/",
    ):
        verdict = judge(url)
        assert isinstance(verdict, Refusal)
        assert "canary" not in verdict.message
