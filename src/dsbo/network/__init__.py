"""Transports: how the rows of agents are summed."""

from dsbo.network.base import Network as Network
from dsbo.network.base import PerLevel as PerLevel
from dsbo.network.dense import Dense as Dense
from dsbo.network.group import join as join
from dsbo.network.group import spawn as spawn
from dsbo.network.one_peer import OnePeer as OnePeer
from dsbo.network.peers import Peers as Peers
from dsbo.network.push_pull import PushPull as PushPull
from dsbo.network.sparse import Sparse as Sparse
from dsbo.network.watch import PeerLost as PeerLost
