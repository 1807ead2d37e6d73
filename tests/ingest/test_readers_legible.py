"""What counts as text that can be read, in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.readers.legible import clean, clean_word, is_legible, legibility

READABLE = {
    "English": "The right wing hit a tree about one mile from the airport, and the airplane came to rest inverted.",
    "German": "Straßenbahnschaffnerinnen prüften die Fahrkarten; größere Übungen für Schüler folgten im März darauf.",
    "Polish": "Wszczęto dochodzenie w sprawie wypadku, który wydarzył się w pobliżu szczebrzeszyńskiego lotniska.",
    "Czech": "Strč prst skrz krk. Vlk zmrzl, zhltl hrst zrn. Příliš žluťoučký kůň úpěl ďábelské ódy na louce včera.",
    "Russian": "Самолёт потерпел аварию в одном километре от аэродрома, лётчик не пострадал и покинул кабину сам.",
    "Arabic": "اصطدم الجناح الأيمن بشجرة على بعد ميل واحد من المطار، ولم يصب الطيار بأذى وغادر الطائرة بنفسه.",
    "Hindi": "हवाई अड्डे से लगभग एक मील दूर दाहिना पंख एक पेड़ से टकराया और विमान उलटा होकर रुक गया था।",
    "Chinese": "飞机右翼在距离机场约一英里处撞到一棵树，飞行员没有受伤，自行离开了驾驶舱，调查仍在继续进行之中。",
    "Japanese": "右翼が空港から約1マイルの木に衝突し、機体は裏返しになって停止した。操縦士にけがはなかったという。",
    "Korean": "오른쪽 날개가 공항에서 약 1마일 떨어진 나무에 부딪혔고 비행기는 뒤집힌 채 멈췄다. 조종사는 무사했다.",
    "Greek": "Το αεροσκάφος προσέκρουσε σε δέντρο περίπου ένα μίλι από το αεροδρόμιο και ακινητοποιήθηκε εκεί.",
    "Thai": "ปีกขวาชนต้นไม้ห่างจากสนามบินประมาณหนึ่งไมล์ และเครื่องบินหยุดนิ่งในสภาพหงายท้อง นักบินไม่ได้รับบาดเจ็บ",
    "numbers": "1,234.5 2,345.6 (3,456.7) 12.4% $ 45,678 — — 9,876 $ (1,234) 0.12 0.34 2019 2020 2021 2022 17.5%",
    "formula": "∑ᵢ xᵢ² ≤ ∫₀¹ f(x) dx + ε·‖A‖₂ ⇒ λ₁ ≥ λ₂ ≥ … ≥ λₙ, ∀ n ∈ ℕ: aₙ₊₁ = aₙ/2 + 1/aₙ → √2 (n → ∞)",
    "code": "for (int i = 0; i < n; ++i) { if (!(x[i] & 0xFF)) { *p++ = (y >> 3) ^ mask; } else { q[i] -= 2; } }",
    "contents": "1 Introduction .................................. 3\n2 Methods ............................ 17",
    "capitals": "NTSB IDENTIFICATION: FTW98FA123. THE AIRPLANE WAS DESTROYED. LAT/LONG N4012.5 W10455.1 MSL VFR ATC",
    "parts": "PN 12-4456-B QTY 14 MFR XKCD REV C | PN 99-1234-X QTY 2 MFR BHTC REV D | PN 33-77-K QTY 8 MFR KLMN",
    "short": "g12",
    "nothing": " \n ",
}
UNREADABLE = {
    "private use": "\ue012\ue034\ue056 \ue078\ue09a\ue0bc\ue0de \ue0f0\ue123 \ue145\ue167",
    "replacement": "T�e r���t w��g h�t � t��� a���t o�� m��e f��m",
    "cid": "(cid:12)(cid:45)(cid:7) (cid:33)(cid:2)(cid:90)(cid:14) (cid:5)(cid:61)",
    "glyph names": "/g12 /g45 /g7 /g33 /g2 /g90 /g14 /g5 /g61 /g12 /g33",
    "mojibake": "Ð¡Ð°Ð¼Ð¾Ð»Ñ‘Ñ‚ Ð¿Ð¾Ñ‚ÐµÑ€Ð¿ÐµÐ» Ð°Ð²Ð°Ñ€Ð¸ÑŽ Ð² Ð¾Ð´Ð½Ð¾Ð¼",
    "single letters": 3 * "F n e m b h e h k e Z d I n k ^ e Z d D 6 I n k ^ F Z ` ^ g m Z I n k ^ < r Z g ",
    "symbols": "!\"#$ %&'( )*+,- ./:;< =>?@[ \\]^_` {|}~! \"#$%& '()*+ ,-./: ;<=>? @[\\]^",
    "no vowels": "Xqzrt bcdfg hjklm npqrs tvwxz bcdf ghjk lmnp qrst vwxz bcdfg hjklmn pqrstv wxzbc dfghj klmnp",
    "byte order": b"The wing hit a tree on the hill".decode("latin-1").encode("utf-16-be").decode("utf-16-le"),
    "Hangul corner": "킟킵톀킲 킴킰톂킰 킸 킟킾킴킿 킴톃킱킻 킘킽킲 킸킽킲 킒킷킰킼 킴킰톂킰 킛킸톂 킜킰톁톁",
    "scripts": "̽ଋҨǥƹ̽ୡȥဎഁୡࣧҨဌʾဎಱ̽ೌ܆ȥਮΝ੧ͱʸฏʤҨ̿ଋҨǥƺ̿ୡȥဎഔୡҨဌʾဎ",
}
SHIFTED = "".join(
    chr(ord(char) - 29) if char > " " else " "
    for char in "the right wing hit a tree about one mile from the airport and the airplane came to rest inverted"
)


@pytest.mark.parametrize("kind", READABLE)
def test_readable(kind):
    assert is_legible(READABLE[kind])


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable(kind):
    assert not is_legible(UNREADABLE[kind])


def test_glyph_numbers_29_below_the_letters():
    assert SHIFTED.startswith("WKH ULJKW")
    assert not is_legible(SHIFTED)


def test_a_few_unmapped_characters_leave_a_page_legible():
    assert is_legible(READABLE["English"] + "��")


def test_real_reports_are_legible(ntsb):
    from ingest.readers.pdf import page_text
    from ingest.readers.pdfium import PdfiumFile

    for path in sorted(ntsb.glob("*.pdf"))[:6]:
        file = PdfiumFile(path)
        for number in range(1, file.page_count + 1):
            assert legibility(page_text(file.page(number))) > 0.9
        file.close()


@given(st.text(max_size=300))
def test_any_text_gets_a_score(text):
    assert 0 <= legibility(text) <= 1


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a \r\nb\t\rc", "a\nb\nc"),
        ("a\x00b\x07c\ud800d\uffff", "abcd"),
        ("5\xa0miles\xa0\n", "5 miles\n"),
        ("tab\there ✈ ½", "tab\there ✈ ½"),
        ("e\ufb03cient \ufb01re, air\xad\nplane, so\xadft", "efficient fire, airplane, soft"),
        ("\ufee3\ufeae\ufea3\ufe92\ufe8e", "مرحبا"),
        ("\uf0b7 item", "• item"),
    ],
)
def test_clean(raw, text):
    assert clean(raw) == text


def test_clean_word():
    assert [clean_word(word) for word in ("plain", "air\xad", "o\ufb03ce", "a\x03b", "\u200b")] == [
        "plain", "air-", "office", "a\ufffdb", "",
    ]  # fmt: skip
