"""The method, section 2.3: encode a query, rank by eq. (8), refine by Algorithm 1.

May import: engines, exact_search, filters, attributes, index, models, text, errors; neither gRPC
nor Prometheus.
Door: `open_retriever`, `Retriever`, `SearchParameters`, `SearchResult`.
"""
