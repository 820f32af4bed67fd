"""The calls of the gRPC service: from a message to a query, and from a result to a message.

May import: serving.admission, serving.served; every other room of the server.
Door: `RetrievalService`.
"""
