"""Append changes to a log in a file of Milvus Lite until this process is killed.

Prints the position of each group of two changes that is durable.
"""

import itertools
import sys

from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.schema import change_fields
from retrieval_server.stores.store_log import StoreLog
from retrieval_server.stores.store_log_writer import StoreLogWriter

milvus = Milvus(StoreAddress.of(sys.argv[1]), 60, STRONG, creates=True)
milvus.create_collection("log", change_fields())
milvus.load("log")
milvus.call("create_alias", "log", milvus.address.collection)
writer = StoreLogWriter(StoreLog(milvus, "log"), milvus, "log")
for number in itertools.count():
    position = writer.append([b"%d" % number, bytes(1000)])
    sys.stdout.write(f"{position}\n")
    sys.stdout.flush()
