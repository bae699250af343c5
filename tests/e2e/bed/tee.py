"""A second filter that is shown what the first one is, without Postfix knowing: what one adds to a message is
never seen by the other, as it would be if Postfix asked them one after the other.

Packets of the milter protocol go to both; the answers of the first go back, those of the witness are thrown away. At
the end of a message the witness is first, so that it asks while the message is still unanswered.
"""
import socket
import threading
from pathlib import Path

from .milter import Between, filter_at, packet

END_OF_MESSAGE = b"E"           # SMFIC_BODYEOB
INSERT, CONTINUE = b"i", b"c"   # SMFIR_INSHEADER, which comes before the final answer; SMFIR_CONTINUE
SKIP = b"s"                     # SMFIR_SKIP: no more of the body, of which the witness wants all


class Tee(Between):
    """`first` and `witness` are the filters' sockets."""

    def __init__(self, path: Path, first: Path, witness: Path):
        self.first, self.witness = first, witness
        super().__init__(path)

    def serve(self, postfix: socket.socket) -> None:
        first, witness = filter_at(self.first), filter_at(self.witness)
        judged = threading.Semaphore(0)
        threading.Thread(target=self._back, args=(first, postfix), daemon=True).start()
        threading.Thread(target=self._witness, args=(witness, judged), daemon=True).start()
        while said := packet(postfix):
            witness.sendall(said)
            if said[4:5] == END_OF_MESSAGE:
                judged.acquire(timeout=10)
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
            pass  # Postfix has gone

    @staticmethod
    def _witness(witness: socket.socket, judged: threading.Semaphore) -> None:
        inserted = False
        while answer := packet(witness):
            if inserted and answer[4:5] == CONTINUE:
                judged.release()
            inserted = answer[4:5] == INSERT
