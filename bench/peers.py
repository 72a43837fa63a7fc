from dataclasses import dataclass

from bench.targets import Target


@dataclass
class Peer:
    target: Target


PEERS: tuple[Peer, ...] = ()


def install(peer: Peer, say: object) -> None: ...
