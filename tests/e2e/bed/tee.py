"""Shows a second filter what the first one is shown, without Postfix's knowledge. Each filter does not see what the other one adds to
a message; if Postfix asked both one after the other, the second would.

Packets of the milter protocol go to both filters. The answers of the first go back to Postfix, those of the second (the witness) are
dropped. At the events for which Postfix waits (the negotiation, the end of a message) the witness is asked first. So both filters are
asked before Postfix answers the client, and the witness asks its observer while the message is still unanswered.
"""
import queue
import socket
import threading
from pathlib import Path

from .milter import Between, filter_at, packet

NEGOTIATE, END_OF_MESSAGE = b"O", b"E"  # SMFIC_OPTNEG, SMFIC_BODYEOB
INSERT, CONTINUE = b"i", b"c"   # SMFIR_INSHEADER, which comes before the final answer; SMFIR_CONTINUE
SKIP = b"s"                     # SMFIR_SKIP: the first filter wants no more of the body, but the witness wants all of it


class Tee(Between):
    """`first` and `witness` are the filters' sockets."""

    def __init__(self, path: Path, first: Path, witness: Path):
        self.first, self.witness = first, witness
        super().__init__(path)

    def serve(self, postfix: socket.socket) -> None:
        first, witness = filter_at(self.first), filter_at(self.witness)
        answers: queue.Queue = queue.Queue()
        threading.Thread(target=self._back, args=(first, postfix), daemon=True).start()
        threading.Thread(target=self._read, args=(witness, answers), daemon=True).start()
        while said := packet(postfix):
            witness.sendall(said)
            self._await(said[4:5], answers)
            first.sendall(said)
        for stream in (first, witness):
            stream.shutdown(socket.SHUT_WR)

    @staticmethod
    def _back(first: socket.socket, postfix: socket.socket) -> None:
        try:
            while answer := packet(first):
                postfix.sendall(answer[:4] + CONTINUE if answer[4:5] == SKIP else answer)
            postfix.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Postfix has closed its connection

    @staticmethod
    def _read(witness: socket.socket, answers: queue.Queue) -> None:
        while answer := packet(witness):
            answers.put(answer[4:5])

    @staticmethod
    def _await(command: bytes, answers: queue.Queue) -> None:
        """Waits until the witness has answered `command`. It answers parts of the body too, before the end of the message."""
        wanted = {NEGOTIATE: [NEGOTIATE], END_OF_MESSAGE: [INSERT, CONTINUE]}.get(command, [])
        try:
            while wanted:
                if answers.get(timeout=10) == wanted[0]:
                    wanted.pop(0)
        except queue.Empty:
            pass  # judged without the witness; the comparison reports it
