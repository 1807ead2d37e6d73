"""`fieldguide chat`: lines in, answers out as they are written. What a conversation is stands in ``assistant.chat``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from assistant import chat
from fieldguide.cli.drawing import cited_page
from fieldguide.cli.session import Session, print_json
from fieldguide.cli.showing import show_answer, show_sources
from fieldguide.cli.verbs import adapter_notes, interruptible, wanted_facets
from fieldguide.errors import FieldguideError, WorkspaceError
from fieldguide.files import append_json
from fieldguide.printable import on_one_line, printable

if TYPE_CHECKING:
    from assistant.flow import Assistant

_TYPED = 1000  # lines that the arrow keys bring back


class _Discarded(Exception):
    """Ctrl-C on a line, or lines, with something in them: they are forgotten, and the conversation goes on."""


def run(s: Session, *, resume: str | None, base: bool, where: Sequence[str] = (), user: str | None = None) -> bool:
    """Hold a conversation until the input ends. Returns whether all of it could be answered or done, which a terminal's
    user sees for himself: there it is always true.

    The shelf is read as it is when a conversation begins. Raises FieldguideError for what stands against all of it.
    """
    talk = Conversation(s, base=base, where=where, user=user)
    if resume is not None:
        talk.go_on_with(resume)
    all_done = True
    with _lines(s) as line:
        while True:
            try:
                entry = chat.read_entry(line)
            except (EOFError, KeyboardInterrupt):
                break
            except _Discarded:
                continue
            entry = entry.encode("utf-8", "replace").decode("utf-8")  # bytes that are no UTF-8 come as lone surrogates
            if not entry.strip():
                continue
            try:
                if not talk.take(entry):
                    break
            except FieldguideError as error:
                all_done = sys.stdin.isatty()
                if s.as_json:
                    print_json({"error": str(error), "exit_code": error.exit_code})
                else:
                    s.console.print(Text(printable(str(error)), style="red"))
    return all_done


def show_histories(s: Session) -> dict[str, Any]:
    """The conversations of this workspace, the one written to last at the end."""
    told: list[dict[str, Any]] = []
    for path in chat.histories(s.workspace.chats_folder):
        turns, _ = chat.read(path)
        last = datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")
        told.append({"id": path.stem, "last": last, "turns": len(turns), "first": turns[0].question if turns else ""})
    table = Table("id", "last written", "questions", "first question", title="Conversations", title_justify="left")
    for one in told:
        table.add_row(one["id"], one["last"], str(one["turns"]), Text(on_one_line(one["first"])[:80]))
    if told:
        s.console.print(table)
        s.say("Go on with one by `fieldguide chat --resume ID`.")
    else:
        s.say("There is no conversation yet; `fieldguide chat` begins one.")
    return {"chats": told}


class Conversation:
    """What is under way: the models, the turns so far, and the history that keeps them."""

    def __init__(self, s: Session, *, base: bool, where: Sequence[str], user: str | None) -> None:
        self.s = s
        self.turns: list[chat.Turn] = []
        self.path: Path | None = None
        """The history; made with the first turn, so that none is kept of a conversation without a question."""
        self._base, self._where, self._user = base, where, user
        self.assistant = self._open()
        if not s.workspace.writable:
            s.say("The workspace is read-only: this conversation is not kept.")

    def _open(self) -> Assistant:
        from retrieval.scope import EVERYTHING

        retriever = self.s.retriever(wanted_facets(self._where), self._user)
        assistant = self.s.assistant(retriever, base=self._base)
        if assistant.adapter:
            for note in adapter_notes(self.s, retriever.within(EVERYTHING).recipe):
                self.s.say(f"Note: {note}")
        return assistant

    def go_on_with(self, wanted: str) -> None:
        """Take up an earlier conversation. Raises FieldguideError if there is none, or it is another user's."""
        path = chat.find(self.s.workspace.chats_folder, wanted)
        turns, broken = chat.read(path)
        foreign = {turn.user for turn in turns} - {self._user}
        if foreign:
            whose = next(iter(foreign))
            how = f"with --user {whose}" if whose else "without --user"
            raise FieldguideError(f"The conversation {path.stem} was held {how}: go on with it so, or begin a new one.")
        self.path, self.turns = path, turns
        self.s.say(f"Going on with the conversation {path.stem}, {len(turns)} questions so far.")
        if broken:
            lines = f"line {broken[0]}" if len(broken) == 1 else f"{len(broken)} lines"
            self.s.say(f"Left out: {lines} of {path}, cut off when the program was ended in the middle of it.")

    def take(self, entry: str) -> bool:
        """Answer a question or obey a command; false when the conversation is over. Raises FieldguideError."""
        command = chat.parse(entry)
        if command is None:
            self.answer(entry)
        elif command.name == "quit":
            return False
        elif command.name == "new":
            self.path, self.turns = None, []
            self.assistant = self._open()
            self.s.say("A new conversation begins.")
        elif command.name == "help":
            for name, what in chat.COMMANDS.items():
                self.s.say(f"  /{name:<8} {what}")
            self.s.say('  A line that ends in a backslash goes on, and so does all between two lines of """.')
        elif command.name == "history":
            self._history()
        else:
            self._about_last(command)
        return True

    def answer(self, question: str) -> None:
        """Answer one question as it is written; Ctrl-C ends this answer alone, and keeps what there is of it."""
        s = self.s
        began = time.perf_counter()
        told: list[str] = []
        first: float | None = None
        asked = question

        def write(piece: str) -> None:
            nonlocal first
            if stopped():
                raise KeyboardInterrupt
            if first is None:
                first = round(time.perf_counter() - began, 3)
            if not s.as_json:
                s.console.print(Text(("" if told else "\n") + printable(piece), style="bold"), end="")
            told.append(piece)

        with interruptible(s, "") as stopped:  # nothing is said: it would come into the middle of a piece
            try:
                asked = s.in_conversation(question, chat.said_before(self.turns))
                found = self.assistant.stream(asked, write)
            except KeyboardInterrupt:
                s.console.print(Text("\n  Stopped; what is written is kept, and nothing of it is checked.", "yellow"))
                self._keep(chat.Turn(question, asked, chat.cut_short("".join(told)), True, first, self._user))
                return
        from assistant.answer import as_json

        documents = self.assistant.documents
        if not s.as_json:
            show_answer(s, found, documents, False, "".join(told))
        self._keep(chat.Turn(question, asked, as_json(found, documents), False, first, self._user))

    def _keep(self, turn: chat.Turn) -> None:
        self.turns.append(turn)
        if self.s.workspace.writable:
            if self.path is None:
                self.path = chat.start(self.s.workspace.chats_folder, datetime.now())
            chat.keep(self.path, turn)
        if self.s.as_json:
            about = {"question": turn.question, "asked": turn.asked, "interrupted": turn.interrupted}
            name = self.path.stem if self.path is not None else None
            print_json({"chat": name, **about, "first_piece": turn.first_piece, **turn.answer})

    def _history(self) -> None:
        if not self.turns:
            self.s.say("Nothing has been asked yet.")
        for number, turn in enumerate(self.turns, 1):
            said = on_one_line(turn.answer["text"]) or "(the documents hold nothing about this)"
            self.s.say(f"  {number}. {on_one_line(turn.question)}")
            self.s.say(f"     {said}{' (stopped)' if turn.interrupted else ''}")

    def _about_last(self, command: chat.Command) -> None:
        if not self.turns:
            raise FieldguideError(f"/{command.name} is about an answer, and nothing has been asked yet.")
        turn = self.turns[-1]
        if command.name == "sources":
            if not turn.answer["passages"]:
                self.s.say("The model was shown no passages.")
            show_sources(self.s, turn.answer["passages"])
        elif command.name == "open":
            self._open_page(turn.answer["citations"], command.argument)
        elif command.name == "why":
            for line in why(turn):
                self.s.say(f"  {line}")
        elif command.name == "good":
            self._judge(chat.feedback(turn, "good"))
        elif command.name == "bad":
            self._judge(chat.feedback(turn, "bad", reason=command.argument))
        else:
            self._judge(chat.feedback(turn, "corrected", correction=command.argument))

    def _judge(self, verdict: Mapping[str, Any]) -> None:
        if not self.s.workspace.writable:
            raise WorkspaceError(f"{self.s.workspace.root} is read-only: a verdict cannot be kept there.")
        append_json(self.s.workspace.feedback_file, verdict)
        self.s.say(f"Kept: {verdict['verdict']}.")

    def _open_page(self, citations: Sequence[Mapping[str, Any]], number: str) -> None:
        """The page around a citation, as text and as a picture."""
        if not number.isdecimal() or not 1 <= int(number) <= len(citations):
            held = f"1 to {len(citations)}" if citations else "none"
            raise FieldguideError(f"There is no citation {number[:20]!r}; the last answer has {held}.")
        cited = citations[int(number) - 1]
        try:
            page = self.s.catalog.page(cited["document"], cited["page"])
        except KeyError:
            raise FieldguideError(f"{on_one_line(cited['source'])} is no longer on the shelf.") from None
        start, end = chat.place_of(cited, page.text)
        before, quote, after = chat.around(page.text, start, end)
        self.s.console.print(Text(f"\n  {on_one_line(cited['source'])}, page {cited['page']}", style="green"))
        shown = ((printable(before), "dim"), (f"»{printable(quote)}«", "bold reverse"), (printable(after), "dim"))
        self.s.console.print(Text.assemble(*shown))
        if self.s.workspace.writable:
            try:
                self.s.say(f"As a picture: {cited_page(self.s, cited, start, end)}")
            except FieldguideError as error:
                self.s.say(f"No picture: {error}")


def why(turn: chat.Turn) -> Iterator[str]:
    """How an answer came about, a line at a time."""
    if turn.asked != turn.question:
        yield f"asked as: {on_one_line(turn.asked)}"
    if turn.interrupted:
        yield "stopped while it was being written: nothing more is known of it"
        return
    answer, trace = turn.answer, turn.answer["trace"]
    yield f"model: {trace['model']}, adapter: {trace['adapter'] or 'none'}"
    for name in ("prompt", "context", "index"):
        yield f"{name}: {trace[name] or 'none'}"
    yield (
        f"tokens: {trace['prompt_tokens']} read, {trace.get('reused_tokens', 0)} of them known from the prompt before; "
        f"{trace['completion_tokens']} written, ended by {trace['finish']}"
    )
    seconds = dict(trace["seconds"])
    if turn.first_piece is not None:
        seconds["to the first piece"] = turn.first_piece
    yield "seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    for number, p in enumerate(answer["passages"], 1):
        pages = ", ".join(map(str, p["pages"]))
        yield f"passage {number}: {on_one_line(p['source'])}, page {pages}, rank {p['rank']}, score {p['score']:.3f}"
    for number, c in enumerate(answer["citations"], 1):
        verified = "verified" if c.get("verified") else "not verified"
        yield f"citation {number}: passage {c['passage']}, alignment {c['score']:.2f}, {verified}"
    if answer.get("confidence") is not None:
        yield f"confidence: {answer['confidence']:.2f}"
    if answer.get("withheld"):
        yield f"withheld: {on_one_line(answer['withheld'])}"


@contextlib.contextmanager
def _lines(s: Session) -> Iterator[Any]:
    """What gives the next line typed or piped in, for ``chat.read_entry``."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with _editing(s.workspace.state / "chat_history" if s.workspace.writable else None) as typed:
            yield typed
        return
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")

    def piped(more: bool) -> str:
        if sys.stdin.isatty():
            s.console.print("… " if more else "> ", end="")
        text = sys.stdin.readline()
        if not text:
            raise EOFError
        return text.rstrip("\r\n")

    yield piped


@contextlib.contextmanager
def _editing(history: Path | None) -> Iterator[Any]:
    """Lines typed on a terminal, with the arrow keys, and those of earlier conversations."""
    try:
        import readline
    except ImportError:  # not on Windows
        yield lambda more: input("… " if more else "> ")
        return
    readline.set_history_length(_TYPED)
    if history is not None:
        with contextlib.suppress(OSError):
            readline.read_history_file(history)

    def typed(more: bool) -> str:
        try:
            return input("… " if more else "> ")
        except KeyboardInterrupt:
            print(file=sys.stderr)  # noqa: T201 (the cursor stands behind what was typed)
            if more or readline.get_line_buffer():
                raise _Discarded from None
            raise

    try:
        yield typed
    finally:
        if history is not None:
            with contextlib.suppress(OSError):
                readline.write_history_file(history)
