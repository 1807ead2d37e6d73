"""Drafts of a small model that make no sense, told by their words."""

import pytest

from ingest.qa.misfits import HALF_GIVEN, MADE_UP, OTHER_KIND, WHOLE, misfit

SENTENCE = (
    "The airplane then cartwheeled counterclockwise coming to rest upright on the right main gear, about 300 feet "
    "from the runway, because the pilot lost control in December 2007."
)
TEXT = f"Elyria report\nThe pilot had flown 1,200 hours. {SENTENCE}"


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("How far from the runway did the airplane come to rest?", "about 300 feet", ""),
        ("How many hours had the pilot flown?", "1,200 hours", ""),
        ("How many hours had the pilot flown?", "the pilot", OTHER_KIND),
        ("When did the pilot lose control?", "December 2007", ""),
        ("When did the pilot lose control?", "landing gear", OTHER_KIND),
        ("Why did the airplane cartwheel?", "the pilot lost control", ""),
        ("Why did the airplane cartwheel?", "300 feet", OTHER_KIND),
        ("What happened to the airplane?", "cartwheeled counterclockwise", ""),
        ("What happened to the airplane?", "left wingtip", OTHER_KIND),
        ("What did the pilot do?", "lost control", ""),
        ("What did the pilot do?", "the right gear of the airplane", OTHER_KIND),
        ("Who lost control?", "the pilot", ""),
        ("Who lost control?", "because the pilot lost control", OTHER_KIND),
        ("What airplane came to rest upright?", "airplane coming to rest upright", HALF_GIVEN),
        ("What happened?", SENTENCE.rstrip("."), WHOLE),
        ("What did the team accomplish together?", "landing gear", MADE_UP),
        ("In 2009, what came to rest?", "airplane", MADE_UP),
        ("Where did the airplane of Boeing come to rest?", "300 feet from the runway", MADE_UP),
    ],
)
def test_reasons(question, answer, reason):
    assert misfit(question, answer, SENTENCE, TEXT) == reason
