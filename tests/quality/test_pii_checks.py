"""What counts as personal data and what only looks like it: one table of cases per type."""

from __future__ import annotations

import pytest

from quality.pii import Pii

PII = Pii()


def found_in(text: str) -> list[str]:
    return [text.encode()[span.start : span.end].decode() for span in PII.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to a.b-c_d%e@sub.example.co.uk.", ["a.b-c_d%e@sub.example.co.uk"]),
        ("请联系abc@example.com谢谢", ["abc@example.com"]),
        ("jo@example.org;al@example.org", ["jo@example.org", "al@example.org"]),
        ("jo@example.org-Office", ["jo@example.org"]),
        ("mailto:jo@xn--bcher-kva.example", ["jo@xn--bcher-kva.example"]),
        ("_jo@example.com_ and __al@example.com__.", ["_jo@example.com", "__al@example.com"]),
        ("Contact:jo@example.com(work) jo@example.co.uk(2)", ["jo@example.com", "jo@example.co.uk"]),
        (
            "j_ana@example.org_v2 and al@example.com2 and jo@x.com__y",
            ["j_ana@example.org", "al@example.com", "jo@x.com"],
        ),
        ("matmul@shape.size_of and a@b.cd2", []),
        ("C = A@Bx.cd.transpose(1)", []),
        ("пётр@почта.example", ["пётр@почта.example"]),
        ("icon@2x.png, a @ b.org, user@host, lodash@4.17.21", []),
        ("git@github.com:owner/repository", []),
        ("https://user:secret@example.com:80/", []),
        ("C = A@B.transpose()", []),
        ("@app.route('/x')", []),
    ],
)
def test_email(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 81.2.69.160:8080/24", ["81.2.69.160"]),
        ("host 8.8.8.8", ["8.8.8.8"]),
        ("see 2.3.1.4 below", []),
        ("version 81.2.69.160", []),
        ("section 81.2.69.160", []),
        ("v81.2.69.160 81.2.69.160.5 1.81.2.69.160 081.2.69.160 81.2.69.256", []),
        ("10.1.2.3 127.0.0.1 192.168.10.20 172.16.99.1 169.254.99.1 203.0.113.99 224.0.0.99", []),
        ("IP:2a00:1450:4001:81b::200e.", ["2a00:1450:4001:81b::200e"]),
        ("Source: 2a00:1450:4001:81b::200e", ["2a00:1450:4001:81b::200e"]),
        ("::1 fe80::1ff:fe23:4567:890a 2001:db8::1 fd12:3456:789a:1::1", []),
        ("std::vector a::b dead::beef abc::def Foo::Bar::baz", []),
        ("at 12:30:45 on 00:1b:44:11:3a:b7 and 00:1b:44:11:3a:b7:00:01", []),
    ],
)
def test_ip(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call 555-0123 today", ["555-0123"]),
        ("phone: 2024561111", ["2024561111"]),
        ("मोबाइल: 98765 43210", ["98765 43210"]),
        ("tel. 202.456.1111x22", ["202.456.1111x22"]),
        ("12345678 (cell)", ["12345678"]),
        ("at 1-202-456-1111 or", ["1-202-456-1111"]),
        ("dial 202\u2011456\u20111111 or", ["202\u2011456\u20111111"]),
        ("+1\u00a0202\u00a0456\u00a01111", ["+1\u00a0202\u00a0456\u00a01111"]),
        ("(+44 20 7946 0958)", ["+44 20 7946 0958"]),
        ("office (202) 456-1111.", ["(202) 456-1111"]),
        ("202-456-1111/202-456-1112", ["202-456-1111", "202-456-1112"]),
        ("98765-4321/98765-4322", []),
        ("Phone\n\n9876543210", ["9876543210"]),
        ("Phone: ९८७६५ ४३२१०", ["९८७६५ ४३२१०"]),
        ("＋９１ ９８７６５４３２１０", ["＋９１ ９８７６５４３２１０"]),
        ("धारा १२ और ९८७६५४३२१०", []),
        ("+44 20 7946 0958 2021", ["+44 20 7946 0958"]),
        ("2024561111 and 98765 43210 and 0123456789", []),
        ("§ 50-1401.01, §§ 16-2326 to 16-2332.01; 45 DCR 7193", []),
        ("116 N.E.2d 139, 142 (1953), 100 Stat. 232; P.L. 104-193", []),
        ("called 31-10-2019, call 2019-10-31 12, phone 20191031, calls 2019-2020", []),
        ("phone order 12345678", []),
        ("recent calls [CVE-2022-4304], message of CVE-2023-51384", []),
        ("drop the call (LP: #1829401, #1829402)", []),
        ("phone #5550123", ["5550123"]),
        ("mobile number #9876543210 or #98765 43210", ["9876543210", "98765 43210"]),
        ("office #020 7946 0958 and #202-456-1111", ["020 7946 0958", "202-456-1111"]),
        ("call 7.000.000 people", []),
        ("13:20:05.561000231", []),
        ("call array([0.08848053, 12.9425961])", []),
        ("arXiv astro-ph/9905191", []),
        ("0 621 938 7957", []),
        ("978-0-306-40615-7", []),
        ("articles 1 2 3 4 5 6 7 8 9", []),
        ("x+12024561111", []),
    ],
)
def test_phone(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", ["4111111111111111"]),
        ("4111 1111 1111 1111 123", ["4111 1111 1111 1111"]),
        ("2 4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("1. 4111 1111 1111 1111\n(2) 5555-5555-5555-4444", ["4111 1111 1111 1111", "5555-5555-5555-4444"]),
        ("see 2 4111 1111 1111 1111", []),
        ("3782 822463 10005 and 3056 930902 5904", ["3782 822463 10005", "3056 930902 5904"]),
        ("card 4222222222222", ["4222222222222"]),
        ("debit card no. 6304 2737 3398", ["6304 2737 3398"]),
        ("ean 4222222222222", []),
        ("4111111111111112", []),
        ("9111111111111110 1111111111111117", []),
        ("order 4111111111111111", []),
        ("0.4111111111111111 and x4111111111111111 and 41111111111111110000", []),
        ("1234 4111 1111 1111 1111", []),
        ("rng = default_rng(4111111111111111)", []),
        ("t + 4111111111111111*t**2", []),
        ("(4111111111111111)", ["4111111111111111"]),
        ("f_4111111111111111_a and _5555555555554444_", ["4111111111111111", "5555555555554444"]),
        ("x = 4111_1111_1111_1111 + 1_4111111111111111 + 4111111111111111_0", []),
    ],
)
def test_card(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gb82west12345698765432", ["gb82west12345698765432"]),
        ("FR14 2004 1010 0505 0001 3M02 606 call", ["FR14 2004 1010 0505 0001 3M02 606"]),
        ("NO93 8601 1117 947 paid", ["NO93 8601 1117 947"]),
        ("GB83 WEST 1234 5698 7654 32", []),
        ("XX82WEST12345698765432 and AGB82WEST12345698765432", []),
    ],
)
def test_iban(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("219-47-2388", ["219-47-2388"]),
        ("1 219-47-2388\n  2) 219-47-2389", ["219-47-2388", "219-47-2389"]),
        ("1) 2341 2341 2346\n5. 2341 2341 2346", ["2341 2341 2346", "2341 2341 2346"]),
        ("7 2341 2341 2346", []),
        ("8ACC 8CAB 2341 2341 2346", []),  # a table of hexadecimal numbers
        ('"2341-2341-2346-8cab-8acc"', []),
        ("7D70 8ACC 2341 2341 2346 8CAB 9E7D\n", []),
        ("8ACC 2341 2341 2346 8CAB", []),
        ("qw/8CAB 9084 8ACC 2341 2341 2346/", []),
        ("8ACC-8CAB-2341 2341 2346", ["2341 2341 2346"]),
        ("aadhaar 8ACC 8CAB 2341 2341 2346", ["2341 2341 2346"]),
        ("face 2341 2341 2346 bus", ["2341 2341 2346"]),
        (
            "report_219-47-2388.pdf ssn_219-47-2389_x _219-47-2381_",
            ["219-47-2388", "219-47-2389", "219-47-2381"],
        ),
        ("1_219-47-2388 219-47-2388_1", []),
        ("२३४१ २३४१ २३४६", ["२३४१ २३४१ २३४६"]),
        ("SSN 219 47 2388", ["219 47 2388"]),
        ("social security number: 219472388", ["219472388"]),
        ("219472388 and 219 47 2388", []),
        ("000-12-3456 666-12-3456 900-12-3456 219-00-2388 219-47-0000", []),
        ("w.e.f. 281-12-1960", []),
        ("219-47-2388-1 and 1-219-47-2388 and A219-47-2388", []),
        ("2341 2341 2346", ["2341 2341 2346"]),
        ("Aadhaar 234123412346", ["234123412346"]),
        ("आधार: 234123412346", ["234123412346"]),
        ("234123412346", []),
        ("2341 2341 2347", []),
        ("5 2341 2341 2346 7", []),
        ("ACUPA7085R", ["ACUPA7085R"]),
        ("PAN: AAACA7085R", ["AAACA7085R"]),
        ("AAACA7085R", []),
        ("PAN ACUXA7085R, ACUPA0000R, XACUPA7085R, ACUPA7085RX, acupa7085r", []),
    ],
)
def test_identity_numbers(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected


def test_a_label_speaks_only_when_near_and_whole() -> None:
    assert found_in("recall " + "x" * 53 + " 12345678") == []  # the window cuts `recall` to `call`
    assert found_in("phone " + "one two three four five six " + "12345678") == []
    assert found_in("Please call\n12345678") == ["12345678"]
    assert found_in("Traceback (most recent call last):\n  ...\n>>> validate('12345678')") == []
    assert found_in("a3call 12345678 and call9 12345678") == []
    assert found_in("phone <EMAIL>, see 12345678") == []


@pytest.mark.parametrize(
    "value",
    ["219-47-2388", "81.2.69.160", "4111 1111 1111 1111", "DE89370400440532013000", "ACUPA7085R", "2341 2341 2346"],
)  # fmt: skip
def test_a_tag_of_the_source_is_no_placeholder(value: str) -> None:
    for tag in ("SSN", "IP", "CARD", "IBAN", "PAN", "AADHAAR", "EMAIL", "id"):
        assert found_in(f"<{tag}>{value}</{tag}>") == [value]


def test_a_tag_of_the_source_speaks_for_what_it_holds() -> None:
    assert found_in("<SSN>219472388</SSN><PHONE>12345678</PHONE>") == ["219472388", "12345678"]
    assert found_in("<PHONE> 12345678</PHONE>") == []  # as masking may leave it
    for phone in ("(202) 456-1111", "+91 98765 43210", "202-456-1111"):
        assert found_in(f"<PHONE>{phone}</PHONE>") == [phone]
