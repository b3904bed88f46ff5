"""Questions to control: one answer each, put again after a break, and no longer open than they may be."""

from __future__ import annotations

from halley.errors import Condition, Refused
from halley.serve.questions import WAIT_S, Questions
from halley.store.messages import Answers, AnswersWanted, FromRelay


class Asker:
    def __init__(self) -> None:
        self.heard: list[Answers | Refused] = []

    def told(self, found: Answers, /) -> None:
        self.heard.append(found)

    def refused(self, refusal: Refused) -> None:
        self.heard.append(refusal)


class Line:
    """A link that may be down, and the clock."""

    def __init__(self) -> None:
        self.up = True
        self.now = 100.0
        self.sent: list[FromRelay] = []
        self.questions = Questions(self.send, lambda: self.now)

    def send(self, message: FromRelay) -> bool:
        if self.up:
            self.sent.append(message)
        return self.up

    def ask(self, asker: Asker, answer: str = "resp_1") -> None:
        self.questions.ask(asker, lambda question: AnswersWanted(question, "acme", answer))


def test_each_asker_hears_its_own_answer_once() -> None:
    line, first, second = Line(), Asker(), Asker()
    line.ask(first)
    line.ask(second)
    numbers = [message.question for message in line.sent if isinstance(message, AnswersWanted)]
    line.questions.answered(Answers(numbers[1]))
    line.questions.answered(Answers(numbers[1]))
    assert first.heard == [] and second.heard == [Answers(numbers[1])]


def test_a_question_is_put_again_when_the_link_is_back() -> None:
    line, asker = Line(), Asker()
    line.up = False
    line.ask(asker)
    assert line.sent == []
    line.up = True
    line.questions.reconnected()
    assert line.sent == [AnswersWanted(1, "acme", "resp_1")]
    line.questions.answered(Answers(1))
    assert asker.heard == [Answers(1)]


def test_no_answer_in_time_is_503_and_a_late_one_is_nobodys() -> None:
    line, asker = Line(), Asker()
    line.ask(asker)
    line.questions.each_second(line.now + WAIT_S / 2)
    assert asker.heard == []
    line.questions.each_second(line.now + WAIT_S)
    (refusal,) = asker.heard
    assert isinstance(refusal, Refused) and refusal.condition is Condition.OVERLOADED and refusal.retry_after_s
    line.questions.answered(Answers(1))
    assert len(asker.heard) == 1


def test_who_has_left_hears_nothing() -> None:
    line, asker = Line(), Asker()
    line.ask(asker)
    line.questions.forget(asker)
    line.questions.answered(Answers(1))
    line.questions.each_second(line.now + 2 * WAIT_S)
    assert asker.heard == []
